import { expect, it } from 'vitest';
import { answerForm } from '../../../src/http/chat/tools/answer-form.ts';
import { escapedArguments } from '../../../src/http/chat/tools/escaped-arguments.ts';
import { agreedForm } from '../../../src/http/chat/tools/render-tools.ts';
import { fakeTokenizer } from '../../support/fake-tokenizer.ts';

const anywhere = { isAtStart: false, showsSpecials: false };
const form = answerForm({ ...agreedForm, style: 'escaped' }, fakeTokenizer(), anywhere);
const rules = (properties: object, more: object = {}, isStrict = true) =>
  escapedArguments(
    'args_0',
    { type: 'object', properties, additionalProperties: false, ...more },
    isStrict,
    form,
  );
const closed = { additionalProperties: false };

it.each<[object, RegExp]>([
  [{ a: { type: 'string', pattern: 'x' } }, /^#\/properties\/a has `pattern`, which this model’s form/],
  [{ a: { type: 'string', format: 'date' } }, /`format`/],
  [{ a: { type: 'string', minLength: 'x' } }, /^#\/properties\/a\/minLength must be a whole number$/],
  [{ a: {} }, /^#\/properties\/a has no type/],
  [{ a: true }, /no type/],
  [{ a: { oneOf: [{ type: 'null' }] } }, /no type/],
  [{ a: { anyOf: [{ type: 'null' }], required: ['b'] } }, /`required`/],
  [{ a: { type: 'array' } }, /^#\/properties\/a\/items has no type/],
  [{ a: { type: 'object' } }, /^#\/properties\/a must name all its members in `properties`$/],
  [{ a: { type: 'object', properties: { 'b:': { type: 'null' } }, ...closed } }, /has the member "b:"/],
  [
    { a: { type: 'object', properties: null, ...closed } },
    /^#\/properties\/a\/properties must be an object$/,
  ],
  [{ a: { type: 'object', required: 5, ...closed } }, /^#\/properties\/a\/required must be a list of names$/],
  [{ a: { type: 'object', required: [5], ...closed } }, /has the member 5/],
  [{ a: { enum: ['<escape>'] } }, /a value with <escape>/],
  [{ a: { const: [1] } }, /a list or an object/],
  [{ a: { $ref: '#/$defs/no' } }, /refers to #\/\$defs\/no, which is not there/],
])(
  'what a grammar of FunctionGemma’s form cannot enforce is refused by its place: %j',
  (properties, message) => {
    expect(() => rules(properties)).toThrow(message);
  },
);

it.each([{ allOf: [{}] }, { required: ['b'] }, { minProperties: 1 }])(
  'so is what is next to the members: %j',
  (more) => {
    expect(() => rules({ a: { type: 'null' } }, more)).toThrow(/^# has /);
  },
);

it.each<[object, object]>([
  [
    { type: 'string', pattern: 'x', format: 'date', minLength: 1 },
    { type: 'string', minLength: 1 },
  ],
  [
    { type: 'array', items: { type: 'null' }, uniqueItems: true, contains: {} },
    { type: 'array', items: { type: 'null' } },
  ],
  [
    { oneOf: [{ type: 'null' }, { const: 'a' }], discriminator: {} },
    { anyOf: [{ type: 'null' }, { const: 'a' }] },
  ],
])('without strict, what only restricts a value further is left out: %j', (schema, held) => {
  expect(rules({ a: schema }, { minProperties: 1 }, false)).toEqual(rules({ a: held }, {}, false));
});

it.each([
  [{ allOf: [{ type: 'null' }], type: 'string' }, /`allOf`/],
  [{ anyOf: [{ type: 'null' }], oneOf: [{ type: 'null' }] }, /`oneOf`/],
  [{ type: 'object' }, /must name all its members/],
])('but not what says which values there are: %j', (schema, message) => {
  expect(() => rules({ a: schema }, {}, false)).toThrow(message);
});

it('a definition that refers to itself has one rule', () => {
  const tree = {
    type: 'object',
    properties: { next: { anyOf: [{ $ref: '#/$defs/tree' }, { type: 'null' }] } },
    ...closed,
  };
  const lines = rules({ tree: { $ref: '#/$defs/tree' } }, { $defs: { tree } });
  expect(lines.filter((line) => line.includes('"next:"'))).toHaveLength(2);
  expect(lines[0]).toMatch(/^args_0: /);
});

it('a short schema does not become rules without end', () => {
  let nested: object = { type: 'null' };
  for (let depth = 0; depth < 60; depth += 1) {
    nested = { type: ['object', 'object'], properties: { a: nested }, ...closed };
  }
  expect(rules({ a: nested })).toHaveLength(1 + 61 * 2 + 61);
  const items = { type: ['null', 'boolean', 'number', 'integer'], description: 'x'.repeat(30_000) };
  expect(() => rules(Object.fromEntries(['a', 'b', 'c'].map((name) => [name, items])))).toThrow(
    /^it needs too many rules: simplify it$/,
  );
});

it('annotations restrict nothing: clients write them into every schema', () => {
  const annotated = { type: 'null', $id: 'x', $comment: 'x', readOnly: true, deprecated: true };
  expect(rules({ a: annotated }, { $schema: 'https://json-schema.org/draft/2020-12/schema' })).not.toEqual(
    [],
  );
});
