import { type SeededRandom, seededRandom } from './seeded-random.ts';

/** A grammar or schema, as a value of `structured_outputs`. */
export interface Awkward {
  kind: string;
  outputs: object;
}

const letters = 'abcxyzαßſK日ñ\u{1d518}\u200d';
const few = (random: SeededRandom, from: number, to: number) => from + random.below(to - from + 1);
const one = <T>(random: SeededRandom, items: readonly T[]): T => items[random.below(items.length)]!;
const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

function chain(random: SeededRandom, first: string): object {
  const count = few(random, 5, 4000);
  const rules = times(count, (i) => `${first}${i}: ${first}${i + 1}`);
  return { grammar: `start: ${first}0\n${rules.join('\n')}\n${first}${count}: "x"` };
}

function exponentialPatterns(random: SeededRandom): { pattern: string }[] {
  const start = few(random, 1, 14);
  return times(few(random, 2, 20), (i) => ({ pattern: `(a|b)*a(a|b){${start + i}}$` }));
}

function deepSchema(random: SeededRandom, depth: number): object {
  let schema: object = { type: one(random, ['string', 'integer', 'null']) };
  for (let i = 0; i < depth; i += 1) {
    schema = one(random, [
      { type: 'object', properties: { a: schema }, required: ['a'] },
      { type: 'array', items: schema },
      { anyOf: [schema, { type: 'null' }] },
    ]);
  }
  return schema;
}

function randomRegex(random: SeededRandom, depth: number): string {
  const inner = () => randomRegex(random, depth - 1);
  if (depth === 0) return one(random, ['a', '.', '\\w', '[^x]', '\\p{L}', one(random, [...letters])]);
  const [from, to] = [random.below(20), few(random, 20, 60)];
  return one(random, [
    () => `(${inner()}|${inner()})`,
    () => `(${inner()}){${from},${to}}`,
    () => `(${inner()})*`,
    () => `${inner()}${inner()}`,
    () => `(${inner()})?`,
  ])();
}

const kinds: Record<string, (random: SeededRandom) => object> = {
  'chain of rules': (random) => chain(random, 'r'),
  'chain of terminals': (random) => chain(random, 'R'),
  'deep parentheses': (random) => {
    const depth = few(random, 10, 10_000);
    return { grammar: `start: ${'('.repeat(depth)}"x"${')'.repeat(depth)}` };
  },
  'deep regex': (random) => {
    const depth = few(random, 10, 8000);
    return { regex: `${'('.repeat(depth)}a${')*'.repeat(depth)}` };
  },
  'exponential strings': (random) => ({ json: { type: 'string', allOf: exponentialPatterns(random) } }),
  'exponential property': (random) => ({
    json: {
      type: 'object',
      properties: { a: { type: 'string', allOf: exponentialPatterns(random) } },
      required: ['a'],
    },
  }),
  'exponential regex': (random) => ({ regex: `(a|b)*a(a|b){${few(random, 5, 400)}}` }),
  'optional run': (random) => ({ regex: 'a?'.repeat(few(random, 100, 12_000)) }),
  'optional run, later': (random) => ({ regex: `[a-z]{3}${'a?'.repeat(few(random, 100, 6000))}` }),
  'tower of repetitions': (random) => {
    const depth = few(random, 2, 6);
    return { regex: `${'('.repeat(depth)}a${times(depth, () => `{1,${few(random, 10, 500)}})`).join('')}` };
  },
  'random regex': (random) => ({ regex: randomRegex(random, few(random, 2, 7)) }),
  'contradictory patterns': (random) => ({
    json: { type: 'string', allOf: [{ pattern: '^a+$' }, { pattern: `^b{${few(random, 1, 9)}}$` }] },
  }),
  'contradictory numbers': (random) => ({
    json: { type: 'integer', minimum: few(random, 10, 20), maximum: few(random, 0, 9) },
  }),
  'contradictory lengths': (random) => ({
    json: { type: 'string', minLength: few(random, 10, 20), maxLength: few(random, 0, 9) },
  }),
  'empty intersection': () => ({ grammar: 'start: A\nA: /[a-z]+/ & /[0-9]+/' }),
  complement: (random) => {
    const pattern = (letter: string) => `~/(${letter}|b)*${letter}(${letter}|b){${few(random, 2, 18)}}/`;
    return { grammar: `start: A\nA: ${pattern('a')} & ${pattern('c')}` };
  },
  'deep schema': (random) => ({ json: deepSchema(random, few(random, 5, 60)) }),
  'very deep schema': (random) => ({ json: deepSchema(random, few(random, 60, 2000)) }),
  'very deep schema as text': (random) => ({
    json: JSON.stringify(deepSchema(random, few(random, 60, 2000))),
  }),
  'chain of references': (random) => {
    const count = few(random, 2, 1500);
    const defs = times(count, (i) => [`d${i}`, { $ref: `#/$defs/d${i + 1}` }] as const);
    const $defs = Object.fromEntries([...defs, [`d${count}`, { type: 'null' }]]);
    return { json: { $ref: '#/$defs/d0', $defs } };
  },
  'circle of references': (random) => {
    const count = few(random, 1, 20);
    const $defs = Object.fromEntries(times(count, (i) => [`d${i}`, { $ref: `#/$defs/d${(i + 1) % count}` }]));
    return { json: { $ref: '#/$defs/d0', $defs } };
  },
  'wide anyOf': (random) => ({
    json: {
      anyOf: times(few(random, 10, 500), (i) => ({
        type: 'object',
        properties: { [`k${i}`]: { type: 'string', pattern: `^(x|y)*${i}$` } },
        required: [`k${i}`],
      })),
    },
  }),
  'great multiple': (random) => ({ json: { type: 'integer', multipleOf: few(random, 10_000, 10_000_000) } }),
  'great counts': (random) => ({
    json: { type: 'array', minItems: few(random, 1000, 200_000), items: { type: 'string', maxLength: 1e6 } },
  }),
  ambiguous: (random) => ({
    grammar: `start: e{1,${few(random, 2, 500)}}\ne: e e | "x" | e "x" e | "x" e | ""`,
  }),
  'many lexemes': (random) => {
    const count = few(random, 10, 900);
    return { grammar: `start: ${times(count, (i) => `/(a|b)*a(a|b){${i % 12}}c${i}/`).join(' | ')}` };
  },
  'many choices': (random) => ({
    choice: times(few(random, 100, 1000), (i) => one(random, [...letters]).repeat(few(random, 1, 40)) + i),
  }),
  'Unicode classes': (random) => ({
    regex: `(?i)(\\p{L}|\\p{So}|${one(random, [...letters])}){1,${few(random, 10, 3000)}}\\p{Greek}`,
  }),
  'lone surrogates': (random) => ({ choice: [`\ud800${few(random, 0, 99)}`, '\udfff'] }),
  noise: (random) => {
    const signs = [...`${letters}()[]{}|*+?\\^$:"/~&.,;\n 0123456789`];
    const text = times(few(random, 1, 400), () => one(random, signs)).join('');
    return one(random, [{ regex: text }, { grammar: `start: ${text}` }, { json: text }]);
  },
};

/** `count` grammars and schemas that are hard or impossible to compile; the same seed returns the same ones. */
export function awkwardGrammars(count: number, seed: number): Awkward[] {
  const random = seededRandom(seed);
  const names = Object.keys(kinds);
  return times(count, (i) => {
    const kind = names[i % names.length]!;
    return { kind, outputs: kinds[kind]!(random) };
  });
}
