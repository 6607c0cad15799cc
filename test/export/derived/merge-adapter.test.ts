import { readFileSync } from 'node:fs';
import { cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exportCommand } from '../../../src/cli/export-command.ts';
import { SafetensorsFile } from '../../../src/export/checkpoint/safetensors-file.ts';
import { mergeAdapter } from '../../../src/export/derived/merge-adapter.ts';
import { captureOutput } from '../../support/capture-output.ts';
import { readCheckpoint } from '../../support/read-checkpoint.ts';
import { bits16, float32, type WrittenTensor, writeSafetensors } from '../../support/safetensors-writer.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const golden = join(import.meta.dirname, '../../golden');
const adapterOf = (name: string) => join(golden, 'lora', name);
const baseOf = (name: string) =>
  join(
    golden,
    JSON.parse(readFileSync(join(adapterOf(name), 'adapter_config.json'), 'utf8')).base_model_name_or_path,
  );
const options = { onProgress: () => {}, signal: new AbortController().signal };

async function tensorsOf(file: string): Promise<Map<string, Float32Array>> {
  const open = await SafetensorsFile.open(file);
  try {
    const found = new Map<string, Float32Array>();
    for (const name of open.tensors.keys()) found.set(name, new Float32Array((await open.read(name)).buffer));
    return found;
  } finally {
    await open.close();
  }
}

/** A copy of an adapter with fields of its config set. */
async function changed(name: string, fields: object): Promise<string> {
  const folder = join(await temporaryFolder(), 'changed');
  await cp(adapterOf(name), folder, { recursive: true });
  const file = join(folder, 'adapter_config.json');
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...fields }));
  return folder;
}

const bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!;
/** The number with these bfloat16 bits. */
const float = (half: number) => new Float32Array(Uint32Array.of(half << 16).buffer)[0]!;

describe('a merged adapter', () => {
  it.each(['plain', 'rslora', 'dora', 'embedding'])('is what peft makes of it: %s', async (name) => {
    const out = join(await temporaryFolder(), 'merged');
    expect(await mergeAdapter(baseOf(name), adapterOf(name), out, options)).toEqual({ isNew: true });
    const ours = await tensorsOf(join(out, 'model.safetensors'));
    const base = await tensorsOf(join(baseOf(name), 'model.safetensors'));
    const expected = await tensorsOf(join(adapterOf(name), 'merged.safetensors'));
    expect(expected.size).toBeGreaterThan(10);
    expect([...ours.keys()]).toEqual([...base.keys()]);
    for (const [tensor, values] of ours) {
      const wanted = expected.get(tensor) ?? base.get(tensor)!;
      const worst = values.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - wanted[i]!) / (1 + Math.abs(wanted[i]!))),
        0,
      );
      expect(worst, tensor).toBeLessThan(expected.has(tensor) ? 1e-6 : Number.MIN_VALUE);
    }
  });

  it('keeps the number format of the base, and finds its tensors whatever stands before the layers', async () => {
    const folder = await temporaryFolder();
    const weights = await readCheckpoint(baseOf('plain'));
    const halves = Object.entries(weights).map(([name, { shape, bytes }]): [string, WrittenTensor] => {
      const upper = new Uint16Array(bytes.slice().buffer).filter((_, n) => n % 2 === 1);
      return [name.replace(/^model\./, 'language_model.model.'), bits16('BF16', shape, [...upper])];
    });
    await writeSafetensors(join(folder, 'model.safetensors'), Object.fromEntries(halves));
    await cp(join(baseOf('plain'), 'config.json'), join(folder, 'config.json'));
    const out = join(folder, 'merged');
    await mergeAdapter(folder, adapterOf('plain'), out, options);
    const merged = await readCheckpoint(out);
    const expected = await tensorsOf(join(adapterOf('plain'), 'merged.safetensors'));
    const base = await tensorsOf(join(baseOf('plain'), 'model.safetensors'));
    for (const [name, values] of expected) {
      const { dtype, bytes } = merged[name.replace(/^model\./, 'language_model.model.')]!;
      expect(dtype).toBe('BF16');
      const stored = new Uint16Array(bytes.buffer);
      for (const [i, value] of values.entries()) {
        const whole = base.get(name)![i]!;
        const wanted = value - whole + float(bits(whole) >>> 16);
        expect(Math.abs(float(stored[i]!) - wanted)).toBeLessThanOrEqual(2 ** -8 * Math.abs(wanted) + 1e-6);
      }
    }
  });

  it('may bring a head of its own to a model whose head is its table', async () => {
    const folder = await changed('plain', {});
    const adapter = await readCheckpoint(baseOf('plain'));
    const { shape, bytes } = adapter['model.embed_tokens.weight']!;
    const head = float32(shape, [...new Float32Array(bytes.slice().buffer)].reverse());
    await writeSafetensors(join(folder, 'adapter_model.safetensors'), {
      'base_model.model.lm_head.weight': head,
    });
    const out = join(folder, 'merged');
    await mergeAdapter(baseOf('plain'), folder, out, options);
    expect((await readCheckpoint(out))['lm_head.weight']!.bytes).toEqual(head.bytes);
  });
});

describe('an adapter that cannot be merged', () => {
  const merge = async (folder: string, base = baseOf('plain')) =>
    mergeAdapter(base, folder, join(await temporaryFolder(), 'merged'), options);

  it.each<[object, RegExp]>([
    [{ peft_type: 'IA3' }, /peft_type is "IA3"; expected "LORA"/],
    [{ bias: 'all' }, /bias is "all"/],
    [{ lora_bias: true }, /lora_bias is true; expected no value/],
    [{ layer_replication: [[0, 4]] }, /layer_replication/],
    [{ trainable_token_indices: [1, 2] }, /trainable_token_indices/],
    [{ alora_invocation_tokens: [5] }, /alora_invocation_tokens/],
    [{ fan_in_fan_out: true }, /fan_in_fan_out/],
    [{ something_new: { a: 1 } }, /something_new/],
    [{ init_lora_weights: 'pissa' }, /init_lora_weights is "pissa"/],
    [{ alpha_pattern: { '^model.*q': 3 } }, /alpha_pattern has the pattern \^model\.\*q/],
    [{ use_dora: true }, /has no magnitude, which contradicts use_dora/],
    [{ lora_alpha: 'x' }, /lora_alpha is "x"/],
  ])('is refused by name: %j', async (fields, message) => {
    await expect(merge(await changed('plain', fields))).rejects.toThrow(message);
  });

  it('is refused where it is of another base', async () => {
    await expect(merge(adapterOf('rslora'))).rejects.toThrow(
      /is \[|changes a tensor that the base model does not have/,
    );
    await expect(merge(adapterOf('embedding'))).rejects.toThrow(/does not have; is it for another base\?$/);
  });

  it('is refused without its tensors, and leaves nothing behind', async () => {
    const folder = await changed('plain', {});
    await writeFile(join(folder, 'adapter_model.safetensors'), 'short');
    const parent = await temporaryFolder();
    await expect(mergeAdapter(baseOf('plain'), folder, join(parent, 'merged'), options)).rejects.toThrow(
      /adapter_model\.safetensors: 5 bytes are too few/,
    );
    expect(await readdir(parent)).toEqual([]);
  });
});

describe('altup export --adapter', () => {
  it('writes a checkpoint of its own beside the adapter and exports it, once', async () => {
    const folder = await changed('plain', {});
    const run = () => captureOutput(() => exportCommand([baseOf('plain'), '--adapter', folder]));
    const merged = join(folder, '..', 'gemma3-changed');
    expect(await run()).toMatchObject({ code: 0, stdout: `${merged}/onnx/fp32: written\n` });
    const { mtimeMs } = await stat(join(merged, 'model.safetensors'));
    expect(await run()).toMatchObject({ code: 0, stdout: `${merged}/onnx/fp32: up to date\n` });
    expect((await stat(join(merged, 'model.safetensors'))).mtimeMs).toBe(mtimeMs);
    expect((await readdir(merged)).sort()).toEqual([
      'config.json',
      'derived-from.json',
      'generation_config.json',
      'model.safetensors',
      'onnx',
    ]);
  });
});
