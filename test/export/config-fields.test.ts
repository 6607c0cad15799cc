import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { ConfigReader, type Range } from '../../src/catalog/config-reader.ts';
import { ConfigurationError } from '../../src/errors.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { readGemma3Config } from '../../src/export/families/gemma3/export.ts';
import { readGemma3nConfig } from '../../src/export/families/gemma3n/config.ts';
import { readT5Config } from '../../src/export/families/t5/config.ts';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';
import { goldenFolder } from '../support/golden.ts';

type Config = Record<string, unknown>;

const both = (read: typeof readGemma3Config) => (config: Config) => {
  const reader = new ConfigReader('config.json', config);
  return read(reader, reader);
};

/** All methods that read numbers; the tests find each number that a family reads with them. */
const readings = ['integer', 'number', 'integers', 'numbers'] as const;

/** The numbers read from a config: the path of each in the config, and its allowed range. */
function numbersRead(read: (config: Config) => unknown, config: Config): Map<string, Range> {
  const found = new Map<string, Range>();
  const spies = readings.map((method) => vi.spyOn(ConfigReader.prototype, method));
  read(config);
  for (const spy of spies) {
    for (const [call, [field, ...rest]] of spy.mock.calls.entries()) {
      const range = rest.find((value) => Array.isArray(value)) as unknown as Range;
      // Only the error message contains the path.
      const path = (spy.mock.contexts[call] as ConfigReader).refuse(field, '').message;
      found.set(/config\.json: (\S+) is/.exec(path)![1]!, range);
    }
    spy.mockRestore();
  }
  return found;
}

function changed(config: Config, path: string, value: unknown): Config {
  const [first, ...rest] = path.split('.');
  const inner = rest.length === 0 ? value : changed((config[first!] ?? {}) as Config, rest.join('.'), value);
  return { ...config, [first!]: inner };
}

const golden = async (variant: string): Promise<Config> =>
  JSON.parse(await readFile(join(goldenFolder(variant), 'config.json'), 'utf8'));

/** The numbers for which null has a meaning. */
const nullable = [
  'num_decoder_layers',
  'final_logit_softcapping',
  'altup_coef_clip',
  'activation_sparsity_pattern',
];

describe.each([
  ['altup-sequence-moe', (config: Config) => readT5Config(new ConfigReader('config.json', config)), 16],
  ['gemma3', both(readGemma3Config), 14],
  ['gemma3n-k4', both(readGemma3nConfig as never), 19],
] as const)('every number in the config of %s', (variant, read, count) => {
  it('has a range, and is refused by name beyond it', async () => {
    const config = await golden(variant);
    const numbers = numbersRead(read, config);
    expect(numbers.size, [...numbers.keys()].join()).toBeGreaterThanOrEqual(count);
    for (const [path, [min, max]] of numbers) {
      expect(max, path).toBeLessThanOrEqual(1e15);
      expect(min, path).toBeGreaterThanOrEqual(-1e9);
      for (const value of [max + Math.max(1, max), 2 ** 53, 1e300, min - 1, '1', true, [], {}]) {
        const start = performance.now();
        expect(() => read(changed(config, path, value)), `${path}: ${JSON.stringify(value)}`).toThrow(
          `config.json: ${path} is`,
        );
        expect(performance.now() - start).toBeLessThan(500);
      }
    }
  });

  it('is refused where it is null, unless that says something', async () => {
    const config = await golden(variant);
    for (const path of numbersRead(read, config).keys()) {
      const reading = () => read(changed(config, path, null));
      if (nullable.includes(path)) expect(reading, path).not.toThrow();
      // Without `num_blocks` the other fields of blocks are refused.
      else if (path === 'altup.num_blocks') expect(reading).toThrow('without num_blocks there are no blocks');
      else expect(reading, path).toThrow(`config.json: ${path} is null; expected`);
    }
  });

  it('is exported or refused in a moment where it is as large as may be', async () => {
    const config = await golden(variant);
    for (const [path, [, max]] of numbersRead(read, config)) {
      const checkpoint = await copyCheckpoint(variant);
      await writeFile(join(checkpoint, 'config.json'), JSON.stringify(changed(config, path, max)));
      const start = performance.now();
      const failure = await ensureExport(checkpoint, 'fp32').then(
        () => null,
        (error) => error,
      );
      if (failure !== null) expect(failure, path).toBeInstanceOf(ConfigurationError);
      expect(performance.now() - start, path).toBeLessThan(10_000);
    }
  }, 120_000);
});

describe('a field of another kind than expected', () => {
  it.each([
    ['gemma3', { layer_types: 'full_attention' }, 'layer_types is "full_attention"; expected a list of'],
    [
      'gemma3',
      { layer_types: { 0: 'full_attention' } },
      'layer_types is {"0":"full_attention"}; expected a list',
    ],
    ['gemma3', { sliding_window: 2 ** 32 }, 'sliding_window is 4294967296; expected an integer from 1 to'],
    ['gemma3', { sliding_window: null }, 'sliding_window is null; expected an integer'],
    [
      'gemma3',
      { num_hidden_layers: 1e9 },
      'num_hidden_layers is 1000000000; expected an integer from 1 to 1024',
    ],
    ['gemma3', { head_dim: 8e9 }, 'head_dim is 8000000000; expected an integer from 1 to 4096'],
    [
      'gemma3n-k4',
      { activation_sparsity_pattern: '0.95' },
      'activation_sparsity_pattern is "0.95"; expected a list',
    ],
    ['gemma3n-k4', { intermediate_size: [1e9] }, 'intermediate_size is [1000000000]; expected a list of'],
    [
      'altup-k2',
      { relative_attention_max_distance: 1e9 },
      'relative_attention_max_distance is 1000000000; expected an integer from 1 to',
    ],
    [
      'altup-k2',
      { altup: { num_blocks: 1e9 } },
      'altup.num_blocks is 1000000000; expected an integer from 1 to 64',
    ],
    ['altup-k2', { is_gated_act: 'yes' }, 'is_gated_act is "yes"; expected true or false'],
  ])('in %s is refused by name: %j', async (variant, change, message) => {
    const checkpoint = await copyCheckpoint(variant);
    const file = join(checkpoint, 'config.json');
    await writeFile(file, JSON.stringify({ ...(await golden(variant)), ...change }));
    await expect(ensureExport(checkpoint, 'fp32')).rejects.toThrow(`config.json: ${message}`);
  });
});

it('a cap of null is none, also where the family has one', async () => {
  const config = await golden('gemma3n-k4');
  const { final_logit_softcapping: _, ...unsaid } = config;
  const capOf = (read: Config) => both(readGemma3nConfig as never)(read).logitCap;
  expect(capOf(unsaid)).toBe(30);
  expect(capOf({ ...config, final_logit_softcapping: null })).toBeNull();
  expect(capOf({ ...config, final_logit_softcapping: 12.5 })).toBe(12.5);
});
