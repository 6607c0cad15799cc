import { type Attack, goodModels } from './attack.ts';

/** 400: refused because of a limit or as invalid. 200: harmless after all. 503: its turn did not come in time. */
const outcomes = ['200', '400', '429', '503'];

type Structure = { structured_outputs: object } | { response_format: object };

const schemaFormat = (schema: object): Structure => ({
  response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
});
const lark = (grammar: string): Structure => ({ structured_outputs: { grammar } });
const regex = (pattern: string): Structure => ({ structured_outputs: { regex: pattern } });

/** @param structure creates the structure of each request from a number that no earlier request had */
function grammarAttack(name: string, attackers: number, structure: (unique: number) => Structure): Attack {
  const body = (unique: number) => ({
    model: goodModels.encoderDecoder,
    prompt: 'Emma',
    max_tokens: 4,
    ...structure(unique),
  });
  return {
    name: `grammar: ${name}`,
    outcomes,
    attackers,
    withinMs: 20_000,
    strike: (attacker) => attacker.ask('/v1/completions', body(attacker.unique())),
  };
}

const times = (count: number, make: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => make(i));

function nested(depth: number, wrap: (inner: object) => object, innermost: object): object {
  let schema = innermost;
  for (let i = 0; i < depth; i += 1) schema = wrap(schema);
  return schema;
}

const awkward: readonly ((unique: number) => Structure)[] = [
  (i) => regex(`((a{1,300}){1,300}){1,30${i}}`),
  (i) => regex(`(\\p{L}{1,500}\\p{N}){5${i % 10}}${i}`),
  (i) => regex(`${'('.repeat(20_000)}${i}${')'.repeat(20_000)}`),
  (i) => regex(`(${times(4000, (j) => 'ab'.repeat(j % 7) + j).join('|')}){${i}}`),
  (i) => regex(`(?=a)b${i}`),
  (i) => regex(`[^\\u{${(0x10000 + i).toString(16)}}]{60000}`),
  (i) => lark(`start: ${'('.repeat(20_000)}"${i}"${')'.repeat(20_000)}`),
  (i) => lark(`start: start start | "${i}" |`),
  (i) => lark(`start: ("a" | "b${i}"){0,1000000}`),
  (i) => lark(`start: A\nA: ${times(2000, (j) => `"${i}x${j}"?`).join(' ')}`),
  (i) => lark(times(2000, (j) => `r${j}: r${(j * 7 + 1) % 2000} | "${i}"`).join('\n')),
  (i) => schemaFormat(nested(2000, (a) => ({ type: 'object', properties: { a } }), { const: i })),
  (i) => schemaFormat(nested(4000, (items) => ({ type: 'array', items }), { const: i })),
  (i) => schemaFormat({ allOf: [{ $ref: '#' }], const: i }),
  (i) =>
    schemaFormat({
      $defs: { a: { $ref: '#/$defs/b' }, b: { anyOf: [{ $ref: '#/$defs/a' }, { const: i }] } },
      $ref: '#/$defs/a',
    }),
  (i) => schemaFormat({ enum: times(5000, (j) => `${i} ${j}`) }),
  (i) => schemaFormat({ type: 'array', items: { const: i }, minItems: 1_000_000_000 }),
  (i) => schemaFormat({ type: 'string', minLength: 1_000_000_000 - i }),
  (i) => schemaFormat({ type: 'number', minimum: i, multipleOf: 1e-300 }),
  (i) => schemaFormat({ allOf: [{ const: i }, { const: 'other' }] }),
  (i) =>
    schemaFormat({
      anyOf: times(300, (j) => `^${j}.*${i}$`).map((pattern) => ({ type: 'string', pattern })),
    }),
  (i) =>
    schemaFormat({
      type: 'object',
      properties: Object.fromEntries(times(1500, (j) => `k${i}_${j}`).map((key) => [key, {}])),
    }),
];

export const grammarAttacks: readonly Attack[] = [
  grammarAttack('3,000 chained rules', 2, (i) =>
    lark(['start: r0', ...times(3000, (j) => `r${j}: r${j + 1}`), `r3000: "${i}"`].join('\n')),
  ),
  grammarAttack('20 patterns at once, exponential', 3, (i) =>
    schemaFormat({
      allOf: times(20, (j) => `(a|b)*a(a|b){${12 + (j % 3)}}$`).map((pattern) => ({
        type: 'string',
        pattern,
        maxLength: 1000 + i,
      })),
    }),
  ),
  grammarAttack('`a?` 12,000 times', 2, (i) => regex(`${'a?'.repeat(12_000)}${i}`)),
  grammarAttack('1,024 long choices', 3, (i) => ({
    structured_outputs: { choice: times(1024, (j) => `${i} ${j} ${'choice '.repeat(7)}`) },
  })),
  grammarAttack('deep, wide, endless, contradictory', 3, (i) => awkward[i % awkward.length]!(i)),
];
