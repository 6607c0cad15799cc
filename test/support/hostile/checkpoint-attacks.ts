import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureExport } from '../../../src/export/export-checkpoint.ts';
import { type Attack, atOnce, goodModels } from './attack.ts';

const models = join(import.meta.dirname, '../../../models');

/** A third party's checkpoint: a good one with one file changed. */
interface HostileCheckpoint {
  /** Name of its folder. */
  name: string;
  file: 'chat_template.jinja' | 'tokenizer.json' | 'config.json';
  /** @param content content of the good file; empty if it does not exist */
  change(content: string): string;
  /** The request that clients send to it; null if it cannot be served. */
  ask: { path: string; body: object } | null;
}

const chat = { path: '/v1/chat/completions', body: { messages: [{ role: 'user', content: 'Emma' }] } };
const template = (name: string, source: string): HostileCheckpoint => ({
  name: `template-${name}`,
  file: 'chat_template.jinja',
  change: () => source,
  ask: chat,
});
/** @param prompt the text that triggers the fault */
const tokenizer = (name: string, change: object, prompt: string): HostileCheckpoint => ({
  name: `tokenizer-${name}`,
  file: 'tokenizer.json',
  change: (content) => JSON.stringify({ ...JSON.parse(content), ...change }),
  ask: { path: '/v1/completions', body: { prompt, max_tokens: 1 } },
});
const config = (name: string, change: object): HostileCheckpoint => ({
  name: `config-${name}`,
  file: 'config.json',
  change: (content) => JSON.stringify({ ...JSON.parse(content), ...change }),
  ask: null,
});

const split = (pattern: string) => ({
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
});

const hostileCheckpoints: readonly HostileCheckpoint[] = [
  template('range', '{% for i in range(100000000) %}{% endfor %}{{ messages[0].content }}'),
  template(
    'nested-loops',
    '{% for a in range(3000) %}{% for b in range(3000) %}{% for c in range(3000) %}{% endfor %}{% endfor %}{% endfor %}',
  ),
  template(
    'doubling',
    '{% set n = namespace(s="a") %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}',
  ),
  template('recursion', '{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}'),
  tokenizer('backtracking', split('(a+)+$'), `${'a'.repeat(70)}!`),
  tokenizer('backtracking-alternation', split('(?:a|a)*b'), 'a'.repeat(70)),
  tokenizer('prepends-6-mb', { normalizer: { type: 'Prepend', prepend: 'ab '.repeat(2_000_000) } }, 'a'),
  tokenizer(
    'replaces-by-6-kb',
    { normalizer: { type: 'Replace', pattern: { String: 'a' }, content: 'bc'.repeat(3000) } },
    'a'.repeat(2000),
  ),
  config('layers', { num_layers: 1e9, num_decoder_layers: 1e9 }),
  config('head-width', { d_kv: 8e9 }),
  config('distance', { relative_attention_max_distance: 1e9 }),
  config('buckets', { relative_attention_num_buckets: 2 ** 40 }),
  config('vocabulary', { vocab_size: 1e12 }),
  config('positions', { n_positions: 1e15 }),
  config('infinite', { num_layers: 1e300 }),
];

/** Writes the hostile checkpoints into `folder`, which the service then serves. */
export async function writeHostileCheckpoints(folder: string): Promise<void> {
  const good = join(models, goodModels.encoderDecoder);
  // Exported first, so that the copies include the export.
  await ensureExport(good, 'fp32');
  for (const { name, file, change } of hostileCheckpoints) {
    const copy = join(folder, name);
    await cp(good, copy, { recursive: true, preserveTimestamps: true });
    const content = await readFile(join(copy, file), 'utf8').catch(() => '');
    await writeFile(join(copy, file), change(content));
  }
}

/** Possible outcomes of the checkpoint's own fault. */
const outcomes = ['200', '400', '404', '422', '429', '500', '503', '504'];

function attackOn(name: string, file: HostileCheckpoint['file']): Attack {
  const asked = hostileCheckpoints.flatMap((each) =>
    each.file === file && each.ask ? { ...each.ask, model: each.name } : [],
  );
  return {
    name,
    outcomes,
    attackers: 1,
    withinMs: 20_000,
    // Two of these get their own processes; others wait behind a third one until its two seconds are over.
    neighbourMs: 4000,
    strike: (attacker) =>
      atOnce(asked.length, (i) =>
        attacker.ask(asked[i]!.path, { model: asked[i]!.model, ...asked[i]!.body }),
      ),
  };
}

export const checkpointAttacks: readonly Attack[] = [
  attackOn('checkpoints: templates without an end', 'chat_template.jinja'),
  attackOn('checkpoints: tokenizers without an end', 'tokenizer.json'),
];
