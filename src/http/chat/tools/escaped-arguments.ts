import { SchemaError } from '../../generation/closed-schema.ts';
import { type AnswerForm, escapeTag, inLark, jsonInLark } from './answer-form.ts';

type Schema = Readonly<Record<string, unknown>>;

/** Keywords that restrict no value, next to the type. */
export const annotations = [
  ...['title', 'description', 'default', 'examples', 'deprecated', 'readOnly', 'writeOnly'],
  ...['$schema', '$id', '$comment', '$defs', 'definitions', 'type'],
];
/** The keywords that a grammar of this form can enforce, by type. Numbers and literals are as in JSON. */
const enforced: Record<string, readonly string[]> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength'],
};
/** Keywords that say what a value is. The others restrict it further. */
const shapes = [
  ...[
    'enum',
    'const',
    '$ref',
    'allOf',
    'anyOf',
    'oneOf',
    'properties',
    'patternProperties',
    'items',
    'prefixItems',
  ],
];
const asInJson = ['number', 'integer', 'boolean', 'null'];

/** Maximum characters of a function's rules. A short schema can need many: each `type` of a list has its own. */
const maxLength = 1 << 18;

const impossible = (path: string, what: string) =>
  new SchemaError(`${path} has ${what}, which this model’s form of calls cannot enforce`);

/** A keyword that counts. @throws SchemaError if it is not a whole number */
function countOf(schema: Schema, keyword: string, path: string): number | undefined {
  const count = schema[keyword];
  if (count === undefined || (Number.isSafeInteger(count) && (count as number) >= 0)) return count as number;
  throw new SchemaError(`${path}/${keyword} must be a whole number`);
}

/**
 * The rules for a function's arguments in FunctionGemma's form (arguments-reader.ts); the first one is named `rule`.
 * @param isStrict refuses every keyword that a grammar of this form cannot enforce; otherwise some are left out
 * @throws SchemaError with the place of what a grammar of this form cannot enforce, or of too much
 */
export function escapedArguments(
  rule: string,
  schema: Schema,
  isStrict: boolean,
  form: AnswerForm,
): string[] {
  return new EscapedRules(rule, schema, isStrict, form).lines;
}

class EscapedRules {
  readonly lines: string[] = [];
  readonly #rule: string;
  readonly #root: Schema;
  readonly #isStrict: boolean;
  readonly #form: AnswerForm;
  readonly #references = new Map<string, string>();
  #length = 0;

  constructor(rule: string, root: Schema, isStrict: boolean, form: AnswerForm) {
    this.#rule = rule;
    this.#root = root;
    this.#isStrict = isStrict;
    this.#form = form;
    this.lines.push('');
    this.lines[0] = `${rule}: ${this.#members(root, '#')}`;
  }

  #add(expression: string): string {
    this.#length += expression.length;
    if (this.#length > maxLength) throw new SchemaError('it needs too many rules: simplify it');
    const name = `${this.#rule}_${this.lines.length}`;
    this.lines.push(`${name}: ${expression}`);
    return name;
  }

  #value(schema: unknown, path: string): string {
    if (typeof schema !== 'object' || schema === null) throw impossible(path, 'no type');
    const { $ref, enum: options, type } = schema as Schema;
    if (options !== undefined || 'const' in schema) {
      this.#refuseOthers(schema as Schema, ['enum', 'const'], path);
      const all = Array.isArray(options) ? options : [(schema as Schema).const];
      return either(all.map((option) => this.#literal(this.#written(option, path))));
    }
    if (typeof $ref === 'string') {
      this.#refuseOthers(schema as Schema, ['$ref'], path);
      return this.#reference($ref, path);
    }
    const choice = this.#isStrict || 'anyOf' in schema ? 'anyOf' : 'oneOf';
    const choices = (schema as Schema)[choice];
    if (Array.isArray(choices)) {
      this.#refuseOthers(schema as Schema, [choice], path);
      return either(choices.map((each, i) => this.#value(each, `${path}/${choice}/${i}`)));
    }
    if (Array.isArray(type)) {
      const types = [...new Set(type)];
      return either(types.map((each) => this.#ofType(String(each), { ...schema, type: each }, path)));
    }
    return this.#ofType(String(type), schema as Schema, path);
  }

  #ofType(type: string, schema: Schema, path: string): string {
    if (asInJson.includes(type)) return this.#add(jsonInLark(schema, this.#isStrict));
    if (type === 'object') return this.#add(`"{" ${this.#members(schema, path)} "}"`);
    if (!enforced[type]) throw impossible(path, 'no type');
    this.#refuseOthers(schema, enforced[type], path);
    return type === 'string' ? this.#string(schema, path) : this.#list(schema, path);
  }

  /** @throws SchemaError if a schema has keywords besides `known` that must not be left out */
  #refuseOthers(schema: Schema, known: readonly string[], path: string): void {
    const other = Object.keys(schema).find(
      (keyword) =>
        !annotations.includes(keyword) &&
        !known.includes(keyword) &&
        (this.#isStrict || shapes.includes(keyword)),
    );
    if (other !== undefined) throw impossible(path, `\`${other}\``);
  }

  #list(schema: Schema, path: string): string {
    const [least = 0, most] = [countOf(schema, 'minItems', path), countOf(schema, 'maxItems', path)];
    if (most === 0) return '"[]"';
    const item = this.#value(schema.items, `${path}/items`);
    const more = `("," ${item}){${Math.max(0, least - 1)},${most === undefined ? '' : most - 1}}`;
    return this.#add(`"[" ${least === 0 ? `(${item} ${more})?` : `${item} ${more}`} "]"`);
  }

  #string(schema: Schema, path: string): string {
    const [least = 0, most] = [countOf(schema, 'minLength', path), countOf(schema, 'maxLength', path)];
    const { quote } = this.#form;
    const token = this.#literal(quote);
    if (most === 0) return this.#add(`${token} ${token}`);
    // If no special token ends the text, it must not contain even the first character of what does.
    const character = quote === escapeTag ? '[^<]' : '(.|\\n)';
    const text = `TEXT_${this.#add('').toUpperCase()}`;
    this.lines[this.lines.length - 1] = `${text}: /${character}{${Math.max(1, least)},${most ?? ''}}/`;
    return this.#add(`${token} ${text}${least === 0 ? '?' : ''} ${token}`);
  }

  #literal(text: string): string {
    return inLark(text, this.#form);
  }

  /** A value of an `enum`, as the model writes it. */
  #written(value: unknown, path: string): string {
    const { quote } = this.#form;
    if (typeof value === 'string') {
      if (value.includes(quote)) throw impossible(path, `a value with ${escapeTag}`);
      return `${quote}${value}${quote}`;
    }
    if (typeof value === 'object' && value !== null)
      throw impossible(path, 'a value that is a list or an object');
    return JSON.stringify(value);
  }

  /** The members of a closed object, in the schema's order. */
  #members(schema: Schema, path: string): string {
    const {
      properties = {},
      required = [],
      additionalProperties,
    } = schema as {
      properties?: Record<string, unknown>;
      required?: readonly unknown[];
      additionalProperties?: unknown;
    };
    this.#refuseOthers(schema, enforced.object!, path);
    if (typeof properties !== 'object' || properties === null)
      throw new SchemaError(`${path}/properties must be an object`);
    if (!Array.isArray(required)) throw new SchemaError(`${path}/required must be a list of names`);
    if (additionalProperties !== false)
      throw new SchemaError(`${path} must name all its members in \`properties\``);
    const names = Object.keys(properties);
    const odd = [...names, ...required].find(
      (name) => typeof name !== 'string' || !/^[\w .-]+$/.test(name) || !Object.hasOwn(properties, name),
    );
    if (odd !== undefined)
      throw new SchemaError(
        `${path} has the member ${JSON.stringify(odd)}, which this model’s form of calls cannot hold`,
      );
    // By position: what may follow if no member is written yet, and if one is.
    let [first, more] = ['""', '""'];
    for (const name of names.reverse()) {
      const member = `${this.#literal(`${name}:`)} ${this.#value(properties[name], `${path}/properties/${name}`)}`;
      const isOptional = !required.includes(name);
      [first, more] = [
        this.#add(`${member} ${more}${isOptional ? ` | ${first}` : ''}`),
        this.#add(`"," ${member} ${more}${isOptional ? ` | ${more}` : ''}`),
      ];
    }
    return first;
  }

  #reference(ref: string, path: string): string {
    const key = /^#\/(?:\$defs|definitions)\/([^/]+)$/.exec(ref)?.[1];
    const definitions = (this.#root.$defs ?? this.#root.definitions ?? {}) as Record<string, unknown>;
    if (key === undefined || !Object.hasOwn(definitions, key))
      throw new SchemaError(`${path} refers to ${ref}, which is not there`);
    let name = this.#references.get(ref);
    if (name === undefined) {
      const place = this.lines.length;
      name = this.#add('');
      // Set before it is complete, because it may refer to itself.
      this.#references.set(ref, name);
      this.lines[place] = `${name}: ${this.#value(definitions[key], ref)}`;
    }
    return name;
  }
}

const either = (expressions: readonly string[]) => `(${expressions.join(' | ')})`;
