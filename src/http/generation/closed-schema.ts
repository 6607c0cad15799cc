type Schema = Readonly<Record<string, unknown>>;

/** A schema that cannot be closed: the message says why, in words fit for clients. */
export class SchemaError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SchemaError';
  }
}

/** As deep as what compiles schemas reads JSON. */
const maxLevels = 127;

/** How many schemas may be looked at, again and again where they refer to each other. */
const maxVisits = 100_000;

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const keysOf = (value: unknown): string[] => (isSchema(value) ? Object.keys(value) : []);

/**
 * A JSON schema whose objects have the members it names and no others. A model left free invents members, and documents
 * rarely mean to allow that, though JSON Schema does.
 *
 * An object stays open where the schema says so, by `additionalProperties` or `unevaluatedProperties`, and where it names
 * no members at all. What `allOf`, `$ref`, `anyOf` and `oneOf` say of one object is taken together.
 * @param isStrict as OpenAI has it: no object is open, and every member is required
 * @throws SchemaError
 */
export function closeObjects(schema: object, isStrict: boolean): object {
  return new ObjectCloser(schema as Schema, isStrict).close();
}

/** What the parts of a schema say of one object together. */
interface Members {
  names: Set<string>;
  patterns: Set<string>;
  /** It is an object with members, perhaps none. */
  isObject: boolean;
  /** A part allows members that are not named, or cannot be seen. */
  isOpen: boolean;
}

class ObjectCloser {
  readonly #root: Schema;
  readonly #isStrict: boolean;
  /** By `$ref`: the name of a copy that is left open, since what it is a part of is closed as a whole. */
  readonly #openCopies = new Map<string, string>();
  readonly #uncopied: string[] = [];
  /** Begins the names of copies, and no other's. */
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

  /** @param isOpen the schema is part of one that is closed as a whole. @param path where it stands, for messages */
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
    // One part and nothing of its own: closing the part closes the whole.
    const arePartsOpen = isSinglePart && !isOwn ? isOpen : parts.length > 0;
    const walked = Object.fromEntries(
      Object.entries(schema).map(([keyword, value]) => [
        keyword,
        this.#child(keyword, value, arePartsOpen, [...path, keyword]),
      ]),
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
        // Conditions (`if`, `not`) say what an object is like, not what it may have; they are not closed.
        return value;
    }
  }

  #closed(schema: Schema, walked: Record<string, unknown>): unknown {
    if (schema.additionalProperties === false) return walked;
    const { names, patterns, isObject, isOpen } = this.#membersOf(schema);
    const types = listOf(schema.type).concat(schema.type);
    if (isOpen || !(isObject || (this.#isStrict && types.includes('object')))) return walked;
    const { unevaluatedProperties: _, ...closed } = walked;
    // What other parts say of a member holds besides.
    const withOthers = (keyword: string, all: ReadonlySet<string>) => {
      const own = isSchema(walked[keyword]) ? Object.entries(walked[keyword]) : [];
      const others = [...all].filter((name) => !keysOf(schema[keyword]).includes(name));
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
      // From the last on, so that the names come in their order.
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

  /** What a `$ref` within the document points at; undefined for others, and for those that point nowhere. */
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

function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

/** The schema itself allows members that it does not name. */
const saysOtherwise = ({ additionalProperties, unevaluatedProperties }: Schema): boolean =>
  [additionalProperties, unevaluatedProperties].some((said) => said !== undefined && said !== false);

function refuseOpen(schema: Schema, path: readonly string[]): void {
  for (const keyword of ['additionalProperties', 'unevaluatedProperties']) {
    if (schema[keyword] === undefined || schema[keyword] === false) continue;
    throw new SchemaError(
      `${keyword} at ${path.join('/')} must be false or left out with \`strict\`, which allows no members but those that are named`,
    );
  }
}
