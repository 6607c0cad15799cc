import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigReader } from '../../../src/catalog/config-reader.ts';
import { readGemma1Config } from '../../../src/export/families/gemma1/export.ts';
import { readGemma3Config } from '../../../src/export/families/gemma3/export.ts';
import { readGemma3nConfig } from '../../../src/export/families/gemma3n/config.ts';
import { goldenFolder } from '../../support/golden.ts';

type Change = Record<string, unknown>;

const configOf = async (variant: string) =>
  JSON.parse(await readFile(join(goldenFolder(variant), 'config.json'), 'utf8'));
const [first, plain, capped, nested] = await Promise.all(
  ['gemma1', 'gemma3', 'gemma3-capped', 'gemma3n-k4'].map(configOf),
);

function gemma1(fields: Change) {
  const reader = new ConfigReader('config.json', fields);
  return readGemma1Config(reader, reader);
}

function gemma3(fields: Change) {
  const reader = new ConfigReader('config.json', fields);
  return readGemma3Config(reader, reader);
}

function gemma3n(fields: Change) {
  const reader = new ConfigReader('config.json', fields);
  return readGemma3nConfig(reader, reader);
}

describe('readGemma1Config', () => {
  it('reads what checkpoints were published with', () => {
    const { rope_parameters: _, ...rest } = first;
    const legacy = { hidden_act: 'gelu', hidden_activation: null, rope_theta: 5e3, rope_scaling: null };
    const config = gemma1({ ...rest, ...legacy });
    expect(config).toMatchObject({
      attentionScale: 1 / 4,
      rope: { full_attention: { theta: 5e3, factor: 1 } },
    });
    expect(config.layers.every(({ window }) => window === null)).toBe(true);
    const scaled = { ...legacy, rope_scaling: { type: 'linear', factor: 4 } };
    expect(gemma1({ ...rest, ...scaled }).rope.full_attention).toEqual({ theta: 5e3, factor: 4 });
  });

  it("has Hugging Face's defaults where a field is missing", () => {
    const config = gemma1({});
    expect(config).toMatchObject({
      vocabSize: 256_000,
      hiddenSize: 3072,
      numHeads: 16,
      kvHeads: 16,
      headSize: 256,
      rope: { full_attention: { theta: 1e4, factor: 1 } },
      contextLength: 8192,
    });
    expect(config.layers).toEqual(
      Array(28).fill({ attention: 'full_attention', window: null, intermediateSize: 24_576 }),
    );
  });

  it.each<[string, Change]>([
    ['hidden_act', { hidden_act: 'silu' }],
    ['rope_parameters.rope_type', { rope_parameters: { rope_type: 'yarn' } }],
    ['use_bidirectional_attention', { use_bidirectional_attention: true }],
  ])('refuses %s', (field, change) => {
    expect(() => gemma1({ ...first, ...change })).toThrow(`config.json: ${field} is`);
  });
});

describe('readGemma3Config', () => {
  it('reads what transformers 5 writes', () => {
    expect(gemma3(capped)).toMatchObject({
      vocabSize: 96,
      hiddenSize: 32,
      numHeads: 4,
      kvHeads: 2,
      headSize: 16,
      attentionScale: 24 ** -0.5,
      rope: {
        full_attention: { theta: 1e6, factor: 8 },
        sliding_attention: { theta: 100, factor: 1 },
      },
      logitCap: 4,
      isTied: false,
      contextLength: 512,
    });
    expect(gemma3(capped).layers.map(({ window }) => window)).toEqual([null, 8, 8, 8, 8, 8, 8, null]);
  });

  it('reads what checkpoints were published with', () => {
    const { rope_parameters: _, layer_types: __, ...rest } = plain;
    const published = {
      ...rest,
      sliding_window_pattern: 4,
      rope_theta: 2e6,
      rope_local_base_freq: 5e3,
      rope_scaling: { rope_type: 'linear', factor: 8 },
    };
    expect(gemma3(published)).toMatchObject({
      rope: {
        full_attention: { theta: 2e6, factor: 8 },
        sliding_attention: { theta: 5e3, factor: 1 },
      },
      layers: gemma3(plain).layers,
    });
  });

  it("has Hugging Face's defaults where a field is missing", () => {
    const config = gemma3({});
    expect(config).toMatchObject({
      vocabSize: 262_208,
      hiddenSize: 2304,
      numHeads: 8,
      kvHeads: 4,
      headSize: 256,
      attentionScale: 1 / 16,
      epsilon: 1e-6,
      logitCap: null,
      isTied: true,
      contextLength: 131_072,
    });
    expect(config.layers).toHaveLength(26);
    expect(config.layers.slice(4, 7)).toEqual([
      { attention: 'sliding_attention', window: 4096, intermediateSize: 9216 },
      { attention: 'full_attention', window: null, intermediateSize: 9216 },
      { attention: 'sliding_attention', window: 4096, intermediateSize: 9216 },
    ]);
  });

  it.each<[string, Change]>([
    ['hidden_activation', { hidden_activation: 'silu' }],
    ['attention_bias', { attention_bias: true }],
    ['use_bidirectional_attention', { use_bidirectional_attention: true }],
    ['attn_logit_softcapping', { attn_logit_softcapping: 50 }],
    ['quantization_config', { quantization_config: { bits: 4 } }],
    ['num_key_value_heads', { num_key_value_heads: 3 }],
    ['head_dim', { head_dim: 12 }],
    ['layer_types', { layer_types: ['full_attention'] }],
    ['layer_types', { layer_types: Array(8).fill('chunked_attention') }],
    ['sliding_window', { sliding_window: 0 }],
    ['final_logit_softcapping', { final_logit_softcapping: -1 }],
    ['partial_rotary_factor', { partial_rotary_factor: 0.5 }],
    [
      'rope_parameters.full_attention.rope_type',
      { rope_parameters: { full_attention: { rope_type: 'yarn' } } },
    ],
    ['rope_parameters.rope_theta', { rope_parameters: { rope_theta: 1e4 } }],
    [
      'rope_scaling.low_freq_factor',
      { rope_parameters: null, rope_scaling: { rope_type: 'linear', factor: 2, low_freq_factor: 1 } },
    ],
    ['rope_scaling.factor', { rope_parameters: null, rope_scaling: { type: 'linear' } }],
  ])('refuses %s', (field, change) => {
    expect(() => gemma3({ ...plain, ...change })).toThrow(`config.json: ${field} is`);
  });
});

describe('readGemma3nConfig', () => {
  it('reads what transformers 5 writes', () => {
    expect(gemma3n(nested)).toMatchObject({
      attentionScale: 1,
      altup: { numBlocks: 4, active: 0, coefClip: 120, scalesCorrected: true },
      laurelRank: 6,
      perLayerInput: { vocabSize: 90, size: 16 },
      sharedLayers: [...Array(8).fill(null), 6, 6, 6, 7],
    });
    expect(gemma3n(nested).stdMultipliers.map((value) => value?.toFixed(4))).toEqual([
      '1.2816',
      '0.8416',
      '0.0000',
      ...Array(9).fill(undefined),
    ]);
  });

  it('takes one width for all layers, no clip, and nothing shared', () => {
    const change = { intermediate_size: 64, altup_coef_clip: null, num_kv_shared_layers: 0 };
    const config = gemma3n({ ...nested, ...change });
    expect(config.layers.every(({ intermediateSize }) => intermediateSize === 64)).toBe(true);
    expect(config.altup.coefClip).toBeNull();
    expect(config.sharedLayers).toEqual(Array(12).fill(null));
  });

  it("has Hugging Face's defaults where a field is missing", () => {
    const config = gemma3n({});
    expect(config).toMatchObject({
      vocabSize: 262_400,
      hiddenSize: 2048,
      kvHeads: 2,
      logitCap: 30,
      contextLength: 32_768,
      laurelRank: 64,
      perLayerInput: { vocabSize: 262_144, size: 256 },
      altup: { numBlocks: 4, active: 0, coefClip: 120, scalesCorrected: true },
    });
    expect(config.layers).toHaveLength(35);
    expect(config.layers[4]).toEqual({ attention: 'full_attention', window: null, intermediateSize: 16_384 });
    expect(config.sharedLayers.slice(19, 25)).toEqual([null, 18, 18, 18, 18, 19]);
    expect(config.stdMultipliers.filter((value) => value !== null)).toHaveLength(10);
  });

  it.each<[string, Change]>([
    ['altup_num_inputs', { altup_num_inputs: 1 }],
    ['altup_active_idx', { altup_active_idx: 4 }],
    ['altup_coef_clip', { altup_coef_clip: 0 }],
    ['num_kv_shared_layers', { num_kv_shared_layers: 12 }],
    ['num_kv_shared_layers', { num_kv_shared_layers: 9 }],
    ['activation_sparsity_pattern', { activation_sparsity_pattern: 0.95 }],
    ['activation_sparsity_pattern', { activation_sparsity_pattern: [0.95] }],
    ['activation_sparsity_pattern', { activation_sparsity_pattern: Array(12).fill(1) }],
    ['intermediate_size', { intermediate_size: Array(12).fill(0) }],
    ['intermediate_size', { intermediate_size: [64] }],
  ])('refuses %s', (field, change) => {
    expect(() => gemma3n({ ...nested, ...change })).toThrow(`config.json: ${field} is`);
  });
});
