import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { closeObjects, SchemaError } from '../../../src/http/generation/closed-schema.ts';
import schemas from '../../support/client-schemas.json' with { type: 'json' };

/** A function that checks whether a document matches the schema after it is closed. */
function judge(schema: object, isStrict = false): (document: unknown) => boolean {
  return new Ajv2020({ strict: false }).compile(closeObjects(schema, isStrict)) as never;
}

const named = (...names: string[]) => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, { type: 'integer' }])),
});
const a = named('a');
const b = named('b');

describe('without strict', () => {
  it.each([
    // Pydantic's Decimal, and Zod's email.
    '^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$',
    '^(?!\\.)[a-z]+@[a-z]+$',
    '(?<=a)b',
    '\\bword',
    '(a|b)\\1',
  ])('no grammar can enforce the pattern %s, so it is left out', (pattern) => {
    const schema = { type: 'array', items: { type: 'string', pattern, maxLength: 3 } };
    expect(closeObjects(schema, false)).toEqual({ type: 'array', items: { type: 'string', maxLength: 3 } });
    expect(closeObjects(schema, true)).toEqual(schema);
  });

  it.each(['^[a-z]+$', '(?:a|b)', '(?P<name>a)', '(?<name>a)', 'a\\\\b', '\\(?=', '\\d'])(
    'the pattern %s is kept',
    (pattern) => {
      expect(closeObjects({ type: 'string', pattern }, false)).toEqual({ type: 'string', pattern });
    },
  );

  it.each([
    ['members that are named', a, { a: 1 }, { a: 1, x: 1 }],
    ['none, where all are optional', a, {}, { x: 1 }],
    ['members without a type', { properties: { ok: { type: 'boolean' } } }, { ok: true }, { ok: true, x: 1 }],
    ['no members, where none are named', { type: 'object', properties: {} }, {}, { x: 1 }],
    ['members by pattern', { type: 'object', patternProperties: { '^s': {} } }, { s1: 1 }, { x: 1 }],
    ['objects in lists', { type: 'array', items: a }, [{ a: 1 }], [{ x: 1 }]],
    ['objects in tuples', { type: 'array', prefixItems: [a] }, [{ a: 1 }], [{ x: 1 }]],
    ['objects in objects', { type: 'object', properties: { in: a } }, { in: { a: 1 } }, { in: { x: 1 } }],
    [
      'values of a dictionary',
      { type: 'object', additionalProperties: a },
      { any: { a: 1 } },
      { any: { x: 1 } },
    ],
    ['definitions', { $ref: '#/$defs/a', $defs: { a } }, { a: 1 }, { x: 1 }],
    ['older definitions', { $ref: '#/definitions/a', definitions: { a } }, { a: 1 }, { x: 1 }],
    ['a choice', { anyOf: [a, b, { type: 'null' }] }, { b: 1 }, { a: 1, b: 1 }],
    ['one of a choice', { oneOf: [{ ...a, required: ['a'] }, b] }, { b: 1 }, { b: 1, x: 1 }],
    ['all of several', { allOf: [a, b] }, { a: 1, b: 1 }, { a: 1, b: 1, x: 1 }],
    ['all of one', { allOf: [a], title: 'A' }, { a: 1 }, { x: 1 }],
    ['own ones and all of others', { ...a, allOf: [b] }, { a: 1, b: 1 }, { a: 1, x: 1 }],
    ['what it inherits', { allOf: [{ $ref: '#/$defs/a' }, b], $defs: { a } }, { a: 1, b: 1 }, { b: 1, x: 1 }],
    [
      'what it inherits at second hand',
      { ...named('c'), $ref: '#/$defs/b', $defs: { a, b: { ...b, allOf: [{ $ref: '#/$defs/a' }] } } },
      { a: 1, b: 1, c: 1 },
      { a: 1, b: 1, c: 1, x: 1 },
    ],
    [
      'own ones and those of a choice',
      {
        ...a,
        oneOf: [{ $ref: '#/$defs/b' }, { ...named('c'), required: ['c'] }],
        $defs: { b: { ...b, required: ['b'] } },
      },
      { a: 1, c: 1 },
      { a: 1, c: 1, x: 1 },
    ],
    [
      'own ones, of which a choice is required',
      { ...named('a', 'b'), anyOf: [{ required: ['a'] }, { required: ['b'] }] },
      { b: 1 },
      { b: 1, x: 1 },
    ],
    [
      'what `unevaluatedProperties` closes',
      { allOf: [a, b], unevaluatedProperties: false },
      { b: 1 },
      { x: 1 },
    ],
    [
      'a tree',
      { type: 'object', properties: { left: { $ref: '#' }, right: { $ref: '#' } } },
      { left: { right: {} } },
      { left: { right: { x: 1 } } },
    ],
    [
      'a definition with a slash in its name',
      { ...b, allOf: [{ $ref: '#/$defs/a~1%7E0b' }], $defs: { 'a/~b': a } },
      { a: 1, b: 1 },
      { x: 1 },
    ],
  ])('takes %s and no others', (_, schema, good, bad) => {
    const fits = judge(schema);
    expect([fits(good), fits(bad)]).toEqual([true, false]);
  });

  it.each([
    ['says so', { ...a, additionalProperties: true }],
    ['says of what kind', { ...a, additionalProperties: { type: 'integer' } }],
    ['says so by another keyword', { ...a, unevaluatedProperties: true }],
    ['names none', { type: 'object' }],
    ['names none within a choice', { anyOf: [{ type: 'object' }, { type: 'null' }] }],
    ['refers to another document', { ...a, allOf: [{ $ref: 'https://example.com/' }] }],
    ['is only a condition', { not: a }],
  ])('leaves an object open that %s', (_, schema) => {
    expect(closeObjects(schema, false)).toEqual(schema);
  });

  it('leaves an object open that inherits what says so', () => {
    const fits = judge({
      ...a,
      allOf: [{ $ref: '#/$defs/b' }],
      $defs: { b: { ...b, additionalProperties: true } },
    });
    expect([fits({ a: 1, b: 1, x: 1 }), fits({ a: 'x' }), fits({ b: 'x' })]).toEqual([true, false, false]);
  });

  it('leaves values alone that look like schemas', () => {
    const value = { properties: { a: 1 } };
    const schema = { ...a, const: value, enum: [value], default: value, examples: [value] };
    expect(closeObjects(schema, false)).toEqual({ ...schema, additionalProperties: false });
  });

  it('keeps members of odd names', () => {
    const schema = JSON.parse('{"properties":{"__proto__":{"properties":{"$ref":{"properties":{"a":{}}}}}}}');
    const closed = JSON.stringify(closeObjects(schema, false));
    const end = ',"additionalProperties":false}';
    expect(closed).toBe(
      `{"properties":{"__proto__":{"properties":{"$ref":{"properties":{"a":{}}${end}}${end}}${end}`,
    );
  });

  it('names its copies as nothing else is', () => {
    const $defs = { 'open-0': a, 'open-1': b };
    const closed = closeObjects({ ...named('c'), allOf: [{ $ref: '#/$defs/open-0' }], $defs }, false);
    expect(Object.keys((closed as { $defs: object }).$defs)).toEqual(['open-0', 'open-1', 'open--0']);
  });
});

describe('with strict', () => {
  it.each([
    ['requires every member', named('a', 'b'), { a: 1, b: 1 }, { a: 1 }],
    ['closes an object without members', { type: 'object' }, {}, { x: 1 }],
    ['requires those of all parts', { allOf: [a, b] }, { a: 1, b: 1 }, { b: 1 }],
    ['requires those of the part that is chosen', { ...a, anyOf: [b, named('c')] }, { a: 1, c: 1 }, { a: 1 }],
    ['requires those of definitions', { ...b, $ref: '#/$defs/a', $defs: { a } }, { a: 1, b: 1 }, { b: 1 }],
  ])('%s', (_, schema, good, bad) => {
    const fits = judge(schema, true);
    expect([fits(good), fits(bad)]).toEqual([true, false]);
  });

  it.each([
    [{ additionalProperties: true }, /additionalProperties at # must be false/],
    [
      { properties: { in: { additionalProperties: { type: 'integer' } } } },
      /additionalProperties at #\/properties\/in must be/,
    ],
    [{ anyOf: [{ ...a, unevaluatedProperties: {} }] }, /unevaluatedProperties at #\/anyOf\/0 must be/],
  ])('refuses %j', (schema, message) => {
    expect(() => closeObjects(schema, true)).toThrow(message);
  });
});

describe('schemas as clients make them', () => {
  const home = { street: 'x', number: 1 };
  const person = { name: 'x', mood: 'calm', home, second_home: null, friends: [] };

  it('of pydantic, nested, optional and recursive', () => {
    const schema = schemas['pydantic: nested, optional and recursive'];
    const fits = judge(schema);
    expect(fits({ ...person, friends: [{ name: 'y', mood: 'merry', home: { street: 'z' } }] })).toBe(true);
    expect(fits({ ...person, friends: [{ ...person, x: 1 }] })).toBe(false);
    expect(fits({ ...person, home: { ...home, x: 1 } })).toBe(false);
    const fitsStrictly = judge(schema, true);
    expect(fitsStrictly(person)).toBe(true);
    expect(fitsStrictly({ ...person, second_home: { street: 'x' } })).toBe(false);
    expect(fitsStrictly({ name: 'x', mood: 'calm', home })).toBe(false);
  });

  it('of pydantic and Instructor, with a discriminated union and a dictionary', () => {
    const schema = schemas['pydantic: a discriminated union and a dictionary'];
    const fits = judge(schema);
    expect(fits({ what: { kind: 'walk', miles: 3 }, guests: { anyone: 2 } })).toBe(true);
    expect(fits({ what: { kind: 'walk', miles: 3, partner: 'x' } })).toBe(false);
    expect(fits({ what: { kind: 'ball', partner: 'x' }, x: 1 })).toBe(false);
    // OpenAI also refuses dictionaries.
    expect(() => closeObjects(schema, true)).toThrow('#/properties/guests');
  });

  it('of pydantic, where the model says of others what it does', () => {
    expect(judge(schemas['pydantic: extra allowed'])({ a: true, x: 1 })).toBe(true);
    expect(judge(schemas['pydantic: extra forbidden'])({ a: true, x: 1 })).toBe(false);
    expect(judge(schemas['pydantic: extra forbidden'])({ a: true })).toBe(true);
    expect(judge(schemas['pydantic: extra forbidden'], true)({ a: true })).toBe(false);
  });

  it('of openai-python, which are strict already, stay as they are', () => {
    const schema = schemas['openai-python: strict'];
    expect(closeObjects(schema, true)).toEqual(schema);
    expect(closeObjects(schema, false)).toEqual(schema);
  });
});

describe('work', () => {
  it('is bounded where schemas refer to each other', () => {
    const count = 1400;
    const link = (i: number) => ({ properties: { [`p${i}`]: {} }, allOf: [{ $ref: `#/$defs/${i + 1}` }] });
    const $defs = Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}`, link(i)]));
    expect(() => closeObjects({ $ref: '#/$defs/0', $defs }, false)).toThrow(SchemaError);
  });

  it('is bounded where they are nested', () => {
    const nested = (depth: number) => JSON.parse(`${'{"items":'.repeat(depth)}{}${'}'.repeat(depth)}`);
    expect(closeObjects(nested(126), false)).toEqual(nested(126));
    expect(() => closeObjects(nested(5000), false)).toThrow('nested more than 127 levels deep');
  });

  it('ends where a schema is part of itself', () => {
    const self = { ...a, allOf: [{ $ref: '#' }, { $ref: '#/$defs/b' }], $defs: { b: { $ref: '#/$defs/b' } } };
    expect(closeObjects(self, false)).toMatchObject({ properties: { a: {} }, additionalProperties: false });
  });
});
