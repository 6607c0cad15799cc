import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Gemma3nShape } from '../scripts/random-gemma3n/shape.ts';
import { writeRandomGemma3n } from '../scripts/random-gemma3n/write-checkpoint.ts';
import { ConfigReader } from '../src/catalog/config-reader.ts';
import type { Manifest, Precision } from '../src/catalog/manifest.ts';
import { listSourceFiles } from '../src/export/checkpoint/checkpoint-digest.ts';
import { gemmaFamily } from '../src/export/families/gemma/export.ts';
import { buildDecoder } from '../src/export/families/gemma3n/decoder.ts';
import { gemma3n, gemma3nParts } from '../src/export/families/gemma3n/export.ts';
import type { Gemma3nGraph } from '../src/export/families/gemma3n/graph.ts';
import type { Gemma3nStream } from '../src/export/families/gemma3n/stream.ts';
import { writeExport } from '../src/export/write-export.ts';

/** Gemma 3n at half the width and half the depth of E2B, with a smaller vocabulary: 300 million parameters. */
const shape: Gemma3nShape = {
  num_hidden_layers: 15,
  num_kv_shared_layers: 5,
  hidden_size: 1024,
  hidden_size_per_layer_input: 64,
  intermediate_size: 4096,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  head_dim: 128,
  vocab_size: 32_768,
  vocab_size_per_layer_input: 32_768,
  laurel_rank: 32,
  altup_num_inputs: 4,
  sparse_layers: 5,
};

/** The stream of a model without AltUp: one tensor runs through the layers, and each layer adds its injection to it. */
class PlainStream implements Gemma3nStream {
  readonly #gemma: Gemma3nGraph;

  constructor(gemma: Gemma3nGraph) {
    this.#gemma = gemma;
  }

  begin(embedded: string): string {
    return embedded;
  }

  advance(layer: number, computed: string, inject: (corrected: string) => string): string {
    return this.#gemma.graph.add('Add', `/layers.${layer}/injected`, [computed, inject(computed)]);
  }

  /** The tensor is what the layers compute, and has these tokens already. */
  keep(): void {}

  end(computed: string, inject: (corrected: string) => string): string {
    return this.advance(this.#gemma.config.layers.length - 1, computed, inject);
  }
}

const plain = gemmaFamily({
  ...gemma3nParts,
  buildDecoder: (gemma) => buildDecoder(gemma, new PlainStream(gemma)),
  altup: () => null,
  isUnused: (config, name) => /(^|\.)altup/.test(name) || gemma3nParts.isUnused(config, name),
});

/** The model whose prompts pass every layer: it keeps all tokens of a chunk. */
const everyLayer = gemmaFamily({
  ...gemma3nParts,
  buildDecoder: (gemma) => {
    buildDecoder(gemma);
    const start = gemma.graph.nodes.find(({ name }) => name === '/last_tokens/start');
    start!.input = [gemma.graph.integers(0)];
  },
});

const families = { altup: gemma3n, plain, 'every layer': everyLayer };

export interface ExportedModel {
  folder: string;
  manifest: Manifest;
}

/** A checkpoint with random weights in a temporary folder. */
export class MidSizeGemma3n {
  readonly checkpoint: string;

  private constructor(checkpoint: string) {
    this.checkpoint = checkpoint;
  }

  static async write(): Promise<MidSizeGemma3n> {
    const checkpoint = await mkdtemp(join(tmpdir(), 'altup-bench-gemma3n-'));
    await writeRandomGemma3n(checkpoint, shape);
    return new MidSizeGemma3n(checkpoint);
  }

  async export(kind: keyof typeof families, precision: Precision = 'fp32'): Promise<ExportedModel> {
    const folder = await mkdtemp(join(this.checkpoint, 'export-'));
    const manifest = await writeExport(folder, {
      checkpoint: this.checkpoint,
      config: await ConfigReader.open(join(this.checkpoint, 'config.json')),
      family: families[kind],
      precision,
      source: await listSourceFiles(this.checkpoint),
      digest: kind,
      onProgress: () => {},
      signal: new AbortController().signal,
    });
    return { folder, manifest };
  }

  remove(): Promise<void> {
    return rm(this.checkpoint, { recursive: true });
  }
}
