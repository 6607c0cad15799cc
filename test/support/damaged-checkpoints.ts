import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { goldenFolder } from './golden.ts';
import { readCheckpoint } from './read-checkpoint.ts';
import { safetensors, type WrittenTensor } from './safetensors-writer.ts';
import type { SeededRandom } from './seeded-random.ts';
import { byteLevelTokenizer } from './tiny-tokenizers.ts';

type Json = Record<string, unknown>;

const jsonFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
] as const;
const files = [...jsonFiles, 'model.safetensors', 'chat_template.jinja'] as const;
const variants = ['dense', 'gemma3', 'gemma3n-k2'] as const;

/** Writes a tiny, undamaged checkpoint with all its files. */
export async function writeSound(folder: string, variant: (typeof variants)[number]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const file of ['config.json', 'model.safetensors'])
    await cp(join(goldenFolder(variant), file), join(folder, file));
  const tokenizer = byteLevelTokenizer() as { model: Json & { vocab: Record<string, number> } };
  const { vocab_size } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const vocab = Object.entries(tokenizer.model.vocab).filter(([, id]) => id < vocab_size);
  const merges = vocab.length < 260 ? [] : tokenizer.model.merges;
  tokenizer.model = { ...tokenizer.model, vocab: Object.fromEntries(vocab), merges };
  const written: Partial<Record<(typeof files)[number], string>> = {
    'generation_config.json': '{"eos_token_id": 1, "temperature": 0.7, "top_k": 5, "top_p": 0.9}',
    'tokenizer.json': JSON.stringify(tokenizer),
    'tokenizer_config.json': '{"bos_token": "</s>", "chat_template": "{{ messages[0].content }}"}',
    'chat_template.jinja': '{% for m in messages %}{{ m.content }}{% endfor %}',
  };
  for (const [file, text] of Object.entries(written)) writeFileSync(join(folder, file), text);
}

const pick = <T>(random: SeededRandom, items: readonly T[]): T => items[random.below(items.length)]!;

const oddValues: readonly unknown[] = [
  ...[null, -1, 0, 1, 3, 0.5, 1e9, 2 ** 32, 2 ** 53, 1e300, -1e300, 'x', '', '262144', true, false],
  ...[[], [1], [[]], [null], ['x'], {}, { a: 1 }, Array(5000).fill(1)],
];
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const oddTexts = [
  '',
  ' ',
  '{',
  'null',
  '[]',
  '3',
  '"x"',
  '{}',
  '\0\0\0',
  '\ufeff{}',
  `{"a":${nested(20_000)}}`,
];

/** A random member of an object or list, at most `depth` levels down. */
function somewhere(random: SeededRandom, root: Json, depth: number): { parent: Json; key: string } | null {
  const keys = Object.keys(root);
  if (keys.length === 0) return null;
  const key = pick(random, keys);
  const value = root[key];
  const isDeep = typeof value === 'object' && value !== null && depth > 0 && random.next() < 0.7;
  return (isDeep ? somewhere(random, value as Json, depth - 1) : null) ?? { parent: root, key };
}

/** Reads only regular files: an earlier damage may have put an endless one there. */
function readRegular(path: string): Buffer {
  if (!statSync(path).isFile()) throw new Error(`${path} is no file`);
  return readFileSync(path);
}

function changeJson(folder: string, file: string, change: (json: Json) => string): string {
  const path = join(folder, file);
  const json = JSON.parse(String(readRegular(path))) as Json;
  const what = change(json);
  writeFileSync(path, JSON.stringify(json));
  return `${file}: ${what}`;
}

function changeBytes(folder: string, file: string, change: (bytes: Buffer) => Buffer): void {
  const path = join(folder, file);
  writeFileSync(path, change(readRegular(path)));
}

async function changeTensors(
  folder: string,
  change: (tensors: Record<string, WrittenTensor>) => string,
): Promise<string> {
  const tensors = await readCheckpoint(folder);
  const what = change(tensors);
  writeFileSync(join(folder, 'model.safetensors'), safetensors(tensors));
  return `model.safetensors: ${what}`;
}

type Damage = (folder: string, random: SeededRandom) => string | Promise<string>;

/** Each one damages a checkpoint and returns a description of the damage. */
const damages: readonly Damage[] = [
  (folder, random) => {
    const file = pick(random, jsonFiles);
    return changeJson(folder, file, (json) => {
      const place = somewhere(random, json, 3);
      if (place === null) return 'nothing';
      const value = pick(random, oddValues);
      place.parent[place.key] = value;
      return `${place.key} becomes ${JSON.stringify(value).slice(0, 40)}`;
    });
  },
  (folder, random) =>
    changeJson(folder, 'config.json', (json) => {
      const key = pick(random, Object.keys(json));
      const value = pick(random, oddValues);
      json[key] = value;
      return `${key} becomes ${JSON.stringify(value).slice(0, 40)}`;
    }),
  (folder, random) =>
    changeJson(folder, pick(random, ['config.json', 'tokenizer.json']), (json) => {
      const place = somewhere(random, json, 2)!;
      delete place.parent[place.key];
      return `without ${place.key}`;
    }),
  (folder, random) => {
    const file = pick(random, files);
    const text = pick(random, oddTexts);
    readRegular(join(folder, file));
    writeFileSync(join(folder, file), text);
    return `${file}: is ${JSON.stringify(text.slice(0, 20))}`;
  },
  (folder, random) => {
    const file = pick(random, files);
    changeBytes(folder, file, (bytes) => bytes.subarray(0, random.below(bytes.length)));
    return `${file}: cut`;
  },
  (folder, random) => {
    const file = pick(random, files);
    const count = 1 + random.below(8);
    changeBytes(folder, file, (bytes) => {
      for (let i = 0; i < count; i++)
        bytes[random.below(Math.min(bytes.length, 4000))]! ^= 1 << random.below(8);
      return bytes;
    });
    return `${file}: ${count} bits flipped`;
  },
  (folder, random) => {
    const file = pick(random, files);
    const path = join(folder, file);
    rmSync(path);
    const kind = pick(random, ['gone', 'folder', 'pipe', 'loop', 'nowhere', 'endless', 'lfs'] as const);
    if (kind === 'folder') mkdirSync(path);
    if (kind === 'pipe') execFileSync('mkfifo', [path]);
    if (kind === 'loop') symlinkSync(path, path);
    if (kind === 'nowhere') symlinkSync('/nowhere', path);
    if (kind === 'endless') symlinkSync('/dev/zero', path);
    if (kind === 'lfs') {
      const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 12345\n`;
      writeFileSync(path, pointer);
    }
    return `${file}: ${kind}`;
  },
  (folder, random) =>
    changeTensors(folder, (tensors) => {
      const name = pick(random, Object.keys(tensors));
      const tensor = tensors[name]!;
      const kind = pick(random, [
        'gone',
        'renamed',
        'shape',
        'half',
        'NaN',
        'infinite',
        'huge',
        'zero',
      ] as const);
      const values = Float32Array.from(new Float32Array(tensor.bytes.slice().buffer));
      if (kind === 'gone' || kind === 'renamed') delete tensors[name];
      if (kind === 'renamed') tensors[`${name}.x`] = tensor;
      if (kind === 'shape') tensors[name] = { ...tensor, shape: [...tensor.shape, 1].toReversed() };
      if (kind === 'half')
        tensors[name] = { ...tensor, dtype: 'F16', bytes: tensor.bytes.slice(0, tensor.bytes.length / 2) };
      if (kind === 'NaN') values[random.below(values.length)] = Number.NaN;
      if (kind === 'infinite') values[random.below(values.length)] = Number.NEGATIVE_INFINITY;
      if (kind === 'huge') values.fill(3e38);
      if (kind === 'zero') values.fill(0);
      if (['NaN', 'infinite', 'huge', 'zero'].includes(kind))
        tensors[name] = { ...tensor, bytes: new Uint8Array(values.buffer) };
      return `${name} ${kind}`;
    }),
  (folder, random) => {
    const onnx = join(folder, 'onnx/fp32');
    mkdirSync(onnx, { recursive: true });
    const kind = pick(random, ['manifest', 'graph', 'file'] as const);
    if (kind === 'manifest') writeFileSync(join(onnx, 'manifest.json'), pick(random, oddTexts));
    if (kind === 'graph') writeFileSync(join(onnx, 'decoder.onnx'), 'no graph');
    if (kind === 'file') {
      rmSync(onnx, { recursive: true });
      writeFileSync(onnx, '');
    }
    return `onnx/fp32: ${kind}`;
  },
];

/** Writes a checkpoint with one or two faults. @returns a description of the faults */
export async function writeDamaged(folder: string, random: SeededRandom): Promise<string> {
  const variant = pick(random, variants);
  await writeSound(folder, variant);
  const done = [variant as string];
  for (let i = 0; i <= random.below(4) / 3; i++) {
    // The second damage may need a file that the first has removed.
    try {
      done.push(await pick(random, damages)(folder, random));
    } catch {
      if (existsSync(folder)) done.push('no more');
    }
  }
  return done.join('; ');
}
