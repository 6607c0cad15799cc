import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Compile } from 'typebox/schema';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closeObjects } from '../../src/http/generation/closed-schema.ts';
import { describeNative } from '../native/native-addon.ts';
import schemas from '../support/client-schemas.json' with { type: 'json' };
import { ServiceProcess } from '../support/service-process.ts';

const models = join(import.meta.dirname, '../../models/austen-t5-altup-k2');

const schema = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 12 },
    mood: { enum: ['calm', 'merry', 'vexed'] },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    height: { type: 'number', minimum: 0.5, maximum: 2.5, multipleOf: 0.01 },
    isWed: { type: 'boolean' },
    friends: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          name: { type: 'string', maxLength: 8 },
          met: { type: ['integer', 'null'], minimum: 1790, maximum: 1817 },
        },
        required: ['name', 'met'],
        additionalProperties: false,
      },
      minItems: 1,
      maxItems: 3,
    },
  },
  required: ['name', 'mood', 'age', 'height', 'isWed', 'friends'],
  additionalProperties: false,
};

interface Answer {
  choices: { text: string; finish_reason: string }[];
  error?: { param: string; message: string };
}

describeNative('structured output from a model that knows no JSON', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({
      ALTUP_MODELS: models,
      ALTUP_SLOTS: '8',
      ALTUP_MAX_QUEUED_REQUESTS: '400',
    });
  });
  afterAll(() => service.stop());

  const complete = async (fields: object): Promise<Answer> => {
    const body = { prompt: 'It was a truth that', max_tokens: 400, temperature: 1, ...fields };
    return (await service.post('/v1/completions', body)).json() as Promise<Answer>;
  };

  it('200 documents, sampled, and every one is valid under the schema', async () => {
    const isValid = Compile(schema);
    const format = { type: 'json_schema', json_schema: { name: 'person', schema } };
    const answers = await Promise.all(
      Array.from({ length: 25 }, (_, seed) => complete({ n: 8, seed, response_format: format })),
    );
    const choices = answers.flatMap((answer) => answer.choices);
    expect(choices).toHaveLength(200);
    for (const { text, finish_reason } of choices) {
      expect(finish_reason, text).toBe('stop');
      expect(isValid.Check(JSON.parse(text)), text).toBe(true);
    }
    expect(new Set(choices.map(({ text }) => text)).size).toBeGreaterThan(190);
  }, 120_000);

  const named = (...names: string[]) => ({
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, { type: 'boolean' }])),
  });
  const base = { ...named('b'), required: ['b'] };

  it.each([
    ['of pydantic, recursive', schemas['pydantic: nested, optional and recursive'], false],
    ['of pydantic, recursive and strict', schemas['pydantic: nested, optional and recursive'], true],
    ['of pydantic, a union', schemas['pydantic: a discriminated union and a dictionary'], false],
    ['of openai-python', schemas['openai-python: strict'], true],
    ['of one member', named('ok'), true],
    ['of parts', { ...named('a'), allOf: [{ $ref: '#/$defs/b' }, named('c')], $defs: { b: base } }, false],
    ['of a choice', { ...named('a'), anyOf: [{ $ref: '#/$defs/b' }, base], $defs: { b: named('c') } }, true],
  ])('documents with the members of a schema alone, %s', async (_, given, strict) => {
    const isValid = new Ajv2020({ strict: false }).compile(closeObjects(given, strict));
    const format = { type: 'json_schema', json_schema: { name: 'x', schema: given, strict } };
    const { choices, error } = await complete({ n: 24, seed: 1, response_format: format });
    expect(error).toBeUndefined();
    const whole = choices.filter(({ finish_reason }) => finish_reason === 'stop');
    expect(whole.length).toBeGreaterThan(2);
    for (const { text } of whole) expect(isValid(JSON.parse(text)), text).toBe(true);
  });

  it('beside free requests, which stay what they are alone', async () => {
    const free = { max_tokens: 60, seed: 5, ignore_eos: true };
    const alone = await complete(free);
    const [together, ...structured] = await Promise.all([
      complete(free),
      ...['yes', 'no'].map((answer) => complete({ structured_outputs: { choice: [answer] } })),
      complete({ structured_outputs: { regex: '[a-z]{3}-[0-9]{3}' } }),
      complete({ structured_outputs: { grammar: 'start: "(" start ")" | "x"' }, seed: 1, temperature: 0.1 }),
      complete({ response_format: { type: 'json_object' }, max_tokens: 200, seed: 1 }),
    ]);
    expect(together!.choices).toEqual(alone.choices);
    const [yes, no, regex, grammar] = structured.map(({ choices }) => choices[0]!.text);
    expect([yes, no]).toEqual(['yes', 'no']);
    expect(regex).toMatch(/^[a-z]{3}-[0-9]{3}$/);
    expect(grammar).toMatch(/^\(*x\)*$/);
  });

  it.each([
    [{ json: { type: 'nothing' } }, /cannot be compiled: .*nothing/],
    [{ json: '{' }, /cannot be compiled: /],
    [{ regex: '(' }, /cannot be compiled: /],
    [{ grammar: 'start: missing' }, /cannot be compiled: .*missing/],
    [{ json: { $ref: 'https://example.com/schema.json' } }, /cannot be compiled: /],
  ])('400 with the reason for %j', async (outputs, message) => {
    const { error } = await complete({ structured_outputs: outputs });
    expect(error).toMatchObject({ param: 'structured_outputs', message: expect.stringMatching(message) });
    expect(error!.message.length).toBeLessThan(1000);
  });

  const chain = (count: number, name: string) =>
    Array.from({ length: count }, (_, i) => `${name}${i}: ${name}${i + 1}\n`).join('');
  const nested = (depth: number): object => {
    let schema: object = { type: 'null' };
    for (let i = 0; i < depth; i += 1) schema = { type: 'array', items: schema };
    return schema;
  };
  const exponential = Array.from({ length: 20 }, (_, i) => ({ pattern: `(a|b)*a(a|b){${12 + i}}$` }));
  it.each<[string, object, RegExp]>([
    ['a chain of rules', { grammar: `start: r0\n${chain(3000, 'r')}r3000: "x"` }, /nested too deep/],
    ['a chain of terminals', { grammar: `start: R0\n${chain(3000, 'R')}R3000: "x"` }, /nested too deep/],
    ['parentheses', { grammar: `start: ${'('.repeat(9000)}"x"${')'.repeat(9000)}` }, /too deeply nested/],
    ['groups', { regex: `${'('.repeat(9000)}x${')*'.repeat(9000)}` }, /exceed the maximum number of nested/],
    ['a deep schema', { json: nested(150) }, /more than 100 levels/],
    ['a deep schema as text', { json: JSON.stringify(nested(2000)) }, /more than 100 levels/],
    [
      'exponential patterns',
      { json: { type: 'object', properties: { a: { allOf: exponential } }, required: ['a'] } },
      /of memory to compile|ms to compile/,
    ],
    [
      'many optional letters',
      { regex: 'a?'.repeat(12_000) },
      /of memory to compile|ms to compile|too complex/,
    ],
    ['a contradiction', { json: { allOf: [{ const: 'a' }, { const: 'b' }] } }, /contradict each other/],
  ])('refuses %s in words, and others are served meanwhile', async (_, outputs, message) => {
    const [{ error }, other] = await Promise.all([
      complete({ structured_outputs: outputs }),
      complete({ structured_outputs: { choice: ['left', `right ${message}`] } }),
    ]);
    expect(error?.message).toMatch(message);
    expect(error?.message).not.toMatch(/non-verbose|NoExtension|fuel|limits\./);
    expect(error).toMatchObject({ code: 'invalid_request', param: 'structured_outputs' });
    expect(other.choices[0]!.text).toMatch(/^(left|right .*)$/);
  });
});
