type Schema = Readonly<Record<string, unknown>>;

/** The schema cannot be closed. The message says why, in words fit for clients. */
export class SchemaError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SchemaError';
  }
}

/** Maximum nesting, the same as in the JSON reader of the schema compiler. */
const maxLevels = 127;

/** Maximum number of visits to schemas, repeated visits through references included. */
const maxVisits = 100_000;

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const keysOf = (value: unknown): string[] => (isSchema(value) ? Object.keys(value) : []);

/**
 * Closes a JSON schema: its objects have the members that it names and no others. JSON Schema allows other members, but
 * authors rarely want them, and a model that may invent members does so.
 *
 * An object stays open if the schema says so, with `additionalProperties` or `unevaluatedProperties`, or if it names no
 * members at all. What `allOf`, `$ref`, `anyOf` and `oneOf` say about one object counts together.
 * @param isStrict OpenAI's `strict`: no object is open, and every member is required. Otherwise patterns that no grammar
 *   can enforce are left out, as the compiler of schemas leaves out keywords
 * @throws SchemaError
 */
export function closeObjects(schema: object, isStrict: boolean): object {
  return new ObjectCloser(schema as Schema, isStrict).close();
}

/** What all parts of a schema together say about one object. */
interface Members {
  names: Set<string>;
  patterns: Set<string>;
  /** The schema describes an object's members, possibly none. */
  isObject: boolean;
  /** A part allows members that are not named, or its `$ref` cannot be resolved. */
  isOpen: boolean;
}

class ObjectCloser {
  readonly #root: Schema;
  readonly #isStrict: boolean;
  /** By `$ref`: the name of the target's open copy, for use inside a schema that is closed as a whole. */
  readonly #openCopies = new Map<string, string>();
  readonly #uncopied: string[] = [];
  /** Prefix of the copies' names, which no other name in `$defs` has. */
  readonly #prefix: string;
  #visits = 0;

  constructor(root: Schema, isStrict: boolean) {
    this.#root = root;
    this.#isStrict = isStrict;
    const taken = keysOf(root.$defs);
    let prefix = 'open-';
    while (taken.some((name) => name.startsWith(prefix))) prefix += '-';
    this.#prefix = prefix;
  }

  close(): object {
    const closed = this.#walk(this.#root, false, ['#']) as Schema;
    const copies: [string, unknown][] = [];
    for (let ref = this.#uncopied.pop(); ref !== undefined; ref = this.#uncopied.pop()) {
      const { $defs: _, definitions: __, ...target } = this.#resolve(ref) as Schema;
      copies.push([this.#openCopies.get(ref)!, this.#walk(target, true, [ref])]);
    }
    if (copies.length === 0) return closed;
    const defs = isSchema(closed.$defs) ? Object.entries(closed.$defs) : [];
    return { ...closed, $defs: Object.fromEntries([...defs, ...copies]) };
  }

  /** @param isOpen stays open, as part of a schema that is closed as a whole. @param path location, for messages */
  #walk(schema: unknown, isOpen: boolean, path: readonly string[]): unknown {
    this.#visit();
    if (path.length > maxLevels) throw new SchemaError(`it is nested more than ${maxLevels} levels deep`);
    if (!isSchema(schema)) return schema;
    if (this.#isStrict) refuseOpen(schema, path);
    const parts = [schema.allOf, schema.anyOf, schema.oneOf, schema.$ref].filter(
      (part) => part !== undefined,
    );
    const isSinglePart =
      parts.length === 1 && (schema.allOf === undefined || listOf(schema.allOf).length === 1);
    const isOwn = 'properties' in schema || 'patternProperties' in schema || saysOtherwise(schema);
    // If there is one part and nothing else, closing the part closes the whole.
    const arePartsOpen = isSinglePart && !isOwn ? isOpen : parts.length > 0;
    const walked = Object.fromEntries(
      Object.entries(schema)
        .filter(([keyword, value]) => this.#isStrict || keyword !== 'pattern' || !looksAround(value))
        .map(([keyword, value]) => [keyword, this.#child(keyword, value, arePartsOpen, [...path, keyword])]),
    );
    if (this.#isStrict && isSchema(schema.properties)) {
      const required = new Set([...listOf(schema.required), ...Object.keys(schema.properties)]);
      walked.required = [...required];
    }
    const isClosedHere = !isOpen && (parts.length === 0 || arePartsOpen);
    return isClosedHere ? this.#closed(schema, walked) : walked;
  }

  #child(keyword: string, value: unknown, arePartsOpen: boolean, path: readonly string[]): unknown {
    const walkItems = (isOpen: boolean) =>
      listOf(value).map((item, i) => this.#walk(item, isOpen, [...path, String(i)]));
    switch (keyword) {
      case 'properties':
      case 'patternProperties':
      case '$defs':
      case 'definitions':
        return isSchema(value)
          ? Object.fromEntries(
              Object.entries(value).map(([name, each]) => [name, this.#walk(each, false, [...path, name])]),
            )
          : value;
      case 'allOf':
      case 'anyOf':
      case 'oneOf':
        return Array.isArray(value) ? walkItems(arePartsOpen) : value;
      case 'items':
      case 'prefixItems':
      case 'additionalItems':
      case 'additionalProperties':
        return Array.isArray(value) ? walkItems(false) : this.#walk(value, false, path);
      case '$ref':
        return arePartsOpen ? this.#openCopy(value) : value;
      default:
        // Conditions (`if`, `not`) test an object and do not define its members, so they are not closed.
        return value;
    }
  }

  #closed(schema: Schema, walked: Record<string, unknown>): unknown {
    if (schema.additionalProperties === false) return walked;
    const { names, patterns, isObject, isOpen } = this.#membersOf(schema);
    const types = listOf(schema.type).concat(schema.type);
    if (isOpen || !(isObject || (this.#isStrict && types.includes('object')))) return walked;
    const { unevaluatedProperties: _, ...closed } = walked;
    // Also allow the members that other parts name; those parts still constrain them.
    const withOthers = (keyword: string, all: ReadonlySet<string>) => {
      const own = isSchema(walked[keyword]) ? Object.entries(walked[keyword]) : [];
      const named = new Set(keysOf(schema[keyword]));
      const others = [...all].filter((name) => !named.has(name));
      if (others.length > 0)
        closed[keyword] = Object.fromEntries([...own, ...others.map((name) => [name, {}])]);
    };
    withOthers('properties', names);
    withOthers('patternProperties', patterns);
    return { ...closed, additionalProperties: false };
  }

  #membersOf(schema: Schema): Members {
    const members: Members = { names: new Set(), patterns: new Set(), isObject: false, isOpen: false };
    const seen = new Set<unknown>();
    const unseen: unknown[] = [schema];
    while (unseen.length > 0) {
      const part = unseen.pop();
      if (!isSchema(part) || seen.has(part)) continue;
      this.#visit();
      seen.add(part);
      for (const name of keysOf(part.properties)) members.names.add(name);
      for (const pattern of keysOf(part.patternProperties)) members.patterns.add(pattern);
      members.isObject ||=
        'properties' in part || 'patternProperties' in part || part.unevaluatedProperties === false;
      members.isOpen ||= saysOtherwise(part);
      // Reversed, because `pop` takes the last: names keep their order.
      unseen.push(...[part.allOf, part.anyOf, part.oneOf].flatMap(listOf).reverse());
      if (part.$ref !== undefined) {
        const target = this.#resolve(part.$ref);
        if (target === undefined) members.isOpen = true;
        unseen.push(target);
      }
    }
    this.#visits += members.names.size;
    return members;
  }

  #openCopy(ref: unknown): unknown {
    const target = this.#resolve(ref);
    if (!isSchema(target) || !this.#membersOf(target).isObject) return ref;
    let name = this.#openCopies.get(ref as string);
    if (name === undefined) {
      name = `${this.#prefix}${this.#openCopies.size}`;
      this.#openCopies.set(ref as string, name);
      this.#uncopied.push(ref as string);
    }
    return `#/$defs/${name}`;
  }

  /** The target of a `$ref` within the document; undefined for other references and for missing targets. */
  #resolve(ref: unknown): unknown {
    if (typeof ref !== 'string' || !/^#(\/|$)/.test(ref)) return undefined;
    let at: unknown = this.#root;
    for (const step of ref.split('/').slice(1)) {
      const key = decoded(step).replaceAll('~1', '/').replaceAll('~0', '~');
      at = typeof at === 'object' && at !== null && Object.hasOwn(at, key) ? (at as Schema)[key] : undefined;
    }
    return at;
  }

  #visit(): void {
    this.#visits += 1;
    if (this.#visits > maxVisits)
      throw new SchemaError('its `allOf`, `anyOf`, `oneOf` and `$ref` combine too many schemas');
  }
}

/** Whether a pattern has an assertion or a reference to one of its groups. Pydantic and Zod write some. */
const looksAround = (pattern: unknown): boolean =>
  typeof pattern === 'string' && /^(?:[^\\]|\\[^bBk1-9])*?(?:\(\?<?[=!]|\\[bBk1-9])/.test(pattern);

function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

/** Whether the schema itself allows members that it does not name. */
const saysOtherwise = ({ additionalProperties, unevaluatedProperties }: Schema): boolean =>
  [additionalProperties, unevaluatedProperties].some((said) => said !== undefined && said !== false);

function refuseOpen(schema: Schema, path: readonly string[]): void {
  for (const keyword of ['additionalProperties', 'unevaluatedProperties']) {
    if (schema[keyword] === undefined || schema[keyword] === false) continue;
    throw new SchemaError(
      `${keyword} at ${path.join('/')} must be false or left out: \`strict\` allows only the members that the schema names`,
    );
  }
}
