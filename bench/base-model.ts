import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '../src/catalog/manifest.ts';
import { ensureExport } from '../src/export/export-checkpoint.ts';

/** A model with layers of T5-Base's shape by default, and the fields of config.json for the paper's family. */
export interface BaseVariant {
  name: string;
  width: number;
  /** Number of heads, each 64 wide; by default width / 64. */
  heads?: number;
  /** Feed-forward width; by default the same multiple of the width as T5-Base's. */
  feedForward?: number;
  altup: { num_blocks: number; selection: 'alternating' | 'same'; recycled: boolean } | null;
  sequence?: { stride: number; method: 'altup' | 'skip' | 'average' };
  moe?: { num_experts: number; expert_d_ff: number; top_k: number };
}

/** Number of layers on each side. A benchmark of one side gives the other a single layer, which it does not use. */
export interface Layers {
  encoder: number;
  decoder: number;
}

const decoding: Layers = { encoder: 1, decoder: 12 };

export interface ExportedModel {
  folder: string;
  manifest: Manifest;
  remove(): Promise<void>;
}

const vocab = 32128;

type Tensors = Map<string, number[]>;

function sizesOf({ width, heads = width / 64, feedForward = (width / 768) * 2048 }: BaseVariant) {
  return { heads, feedForward };
}

function tensorsOf(variant: BaseVariant, count: Layers): Tensors {
  const { width, altup, sequence, moe } = variant;
  const { heads, feedForward } = sizesOf(variant);
  const inner = heads * 64;
  const wide = altup && !altup.recycled ? altup.num_blocks * width : width;
  const tensors: Tensors = new Map([
    ['shared.weight', [vocab, wide]],
    ['lm_head.weight', [vocab, wide]],
    ['encoder.final_layer_norm.weight', [width]],
    ['decoder.final_layer_norm.weight', [wide]],
  ]);
  const attention = (prefix: string) => {
    for (const part of ['q', 'k', 'v']) tensors.set(`${prefix}.${part}.weight`, [inner, width]);
    tensors.set(`${prefix}.o.weight`, [width, inner]);
  };
  const stack = (side: string, layers: number, sublayers: string[]) => {
    for (let layer = 0; layer < layers; layer += 1) {
      const block = `${side}.block.${layer}`;
      for (const [index, name] of sublayers.entries()) {
        const sublayer = `${block}.layer.${index}`;
        tensors.set(`${sublayer}.layer_norm.weight`, [width]);
        if (name !== 'DenseReluDense') {
          attention(`${sublayer}.${name}`);
          continue;
        }
        for (const part of ['wi_0', 'wi_1']) {
          tensors.set(`${sublayer}.${name}.${part}.weight`, [feedForward, width]);
        }
        tensors.set(`${sublayer}.${name}.wo.weight`, [width, feedForward]);
        if (!moe) continue;
        const { num_experts: experts, expert_d_ff: hidden } = moe;
        tensors.set(`${sublayer}.experts.router.weight`, [experts, width]);
        tensors.set(`${sublayer}.experts.wi`, [experts, hidden, width]);
        tensors.set(`${sublayer}.experts.wo`, [experts, width, hidden]);
      }
      // As in the paper: all layers except the first and the last.
      const isStrided = sequence?.method === 'altup' && side === 'encoder' && layer > 0 && layer < layers - 1;
      if (isStrided) tensors.set(`${block}.sequence.coefs`, [3]);
      if (altup === null) continue;
      tensors.set(`${block}.altup.prediction_coefs`, [altup.num_blocks, altup.num_blocks]);
      tensors.set(`${block}.altup.correction_coefs`, [altup.num_blocks]);
    }
    tensors.set(`${side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`, [32, heads]);
  };
  stack('encoder', count.encoder, ['SelfAttention', 'DenseReluDense']);
  stack('decoder', count.decoder, ['SelfAttention', 'EncDecAttention', 'DenseReluDense']);
  return tensors;
}

/** Small reproducible numbers of both signs. The length is prime, so that no two rows of a matrix begin alike. */
const noise = (() => {
  let state = 1;
  return Float32Array.from({ length: 262_147 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.06;
  });
})();

function values(name: string, shape: number[]): Float32Array {
  if (name.endsWith('layer_norm.weight')) return new Float32Array(shape[0]!).fill(1);
  if (name.endsWith('sequence.coefs')) return Float32Array.of(0.9, 0.1, 1);
  if (name.endsWith('correction_coefs')) return new Float32Array(shape[0]!).fill(0.5);
  if (name.endsWith('prediction_coefs')) {
    return Float32Array.from({ length: shape[0]! ** 2 }, (_, i) => (i % (shape[0]! + 1) === 0 ? 0.9 : 0.1));
  }
  return noise;
}

async function writeWeights(path: string, tensors: Tensors): Promise<void> {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, shape] of tensors) {
    const size = 4 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + size] };
    end += size;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = await open(path, 'w');
  await file.write(Buffer.concat([length, json]));
  for (const [index, [name, shape]] of [...tensors].entries()) {
    const numbers = values(name, shape);
    const source = Buffer.from(numbers.buffer);
    // Each matrix begins at another place in the noise. ONNX Runtime stores equal packed weights once, and a step that
    // reads one matrix twelve times would find it in the cache.
    let from = numbers === noise ? (index * 4 * 4099) % source.length : 0;
    for (let left = 4 * shape.reduce((a, b) => a * b, 1); left > 0; from = 0) {
      const count = Math.min(left, source.length - from);
      await file.write(source, from, count);
      left -= count;
    }
  }
  await file.close();
}

/** Writes a checkpoint of random weights to a temporary folder and exports it. */
export async function exportBaseModel(variant: BaseVariant, layers = decoding): Promise<ExportedModel> {
  const folder = await mkdtemp(join(tmpdir(), `altup-bench-${variant.name}-`));
  const { sequence, moe } = variant;
  const altup = { ...variant.altup, ...(sequence && { sequence }) };
  const { heads, feedForward } = sizesOf(variant);
  const config = {
    model_type: 't5',
    vocab_size: vocab,
    d_model: variant.width,
    num_heads: heads,
    d_kv: 64,
    d_ff: feedForward,
    num_layers: layers.encoder,
    num_decoder_layers: layers.decoder,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128,
    feed_forward_proj: 'gated-gelu',
    layer_norm_epsilon: 1e-6,
    tie_word_embeddings: false,
    n_positions: 1024,
    pad_token_id: 0,
    eos_token_id: 1,
    decoder_start_token_id: 0,
    ...(Object.keys(altup).length > 0 && { altup }),
    ...(moe && { moe }),
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeWeights(join(folder, 'model.safetensors'), tensorsOf(variant, layers));
  const exported = await ensureExport(folder, 'fp32');
  await rm(join(folder, 'model.safetensors'));
  return { ...exported, remove: () => rm(folder, { recursive: true }) };
}

/** Bytes of all weights of a model with these layers. */
export function weightBytes(variant: BaseVariant, layers: Layers): number {
  return [...tensorsOf(variant, layers).values()].reduce(
    (sum, shape) => sum + 4 * shape.reduce((a, b) => a * b, 1),
    0,
  );
}

/** Bytes of keys and values that one decode step reads, for a model with T5-Base's number of heads. */
export function cacheBytesPerStep(batch: number, encoderPositions: number, decoderPositions: number): number {
  return batch * (encoderPositions + decoderPositions) * decoding.decoder * 2 * 768 * 4;
}

/** Bytes of weights that a decode step reads: the decoder's except the embedding table; of experts only the chosen. */
export function bytesPerStep(variant: BaseVariant, batch: number): number {
  let bytes = 0;
  const { num_experts: experts = 1, top_k: chosen = 1 } = variant.moe ?? {};
  for (const [name, shape] of tensorsOf(variant, decoding)) {
    // The encoder's graph computes cross-attention keys and values once.
    if (/^encoder|^shared|EncDecAttention\.[kv]/.test(name)) continue;
    const part = /experts\.w[io]$/.test(name) ? Math.min(1, (batch * chosen) / experts) : 1;
    bytes += 4 * part * shape.reduce((a, b) => a * b, 1);
  }
  return bytes;
}
