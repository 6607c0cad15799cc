import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigReader } from '../../../src/catalog/config-reader.ts';
import { readT5Config } from '../../../src/export/families/t5/config.ts';
import { goldenFolder } from '../../support/golden.ts';

const golden = JSON.parse(await readFile(join(goldenFolder('altup-k2'), 'config.json'), 'utf8'));
const read = (change: Record<string, unknown>) =>
  readT5Config(new ConfigReader('config.json', { ...golden, ...change }));
const altup = (change: Record<string, unknown>) => ({ altup: { ...golden.altup, ...change } });

describe('readT5Config', () => {
  it('reads the golden config', () => {
    expect(read({})).toEqual({
      vocabSize: 64,
      dModel: 16,
      numHeads: 3,
      dKv: 8,
      dFf: 40,
      activation: 'gelu_new',
      isGated: true,
      hasBiasByLayer: false,
      encoderLayers: 3,
      decoderLayers: 3,
      numBuckets: 16,
      maxDistance: 20,
      epsilon: 1e-6,
      headScale: 1,
      contextLength: 512,
      altup: { numBlocks: 2, selection: 'alternating', recycled: false },
      sequence: null,
      moe: null,
    });
  });

  it('reads sequence and experts, and takes layers from the end', () => {
    const sequence = { stride: 4 };
    expect(
      read({ num_layers: 5, altup: { sequence }, moe: { num_experts: 8, expert_d_ff: 64 } }),
    ).toMatchObject({
      altup: null,
      sequence: { method: 'altup', stride: 4, firstLayer: 1, lastLayer: 3 },
      moe: { numExperts: 8, expertDFf: 64, topK: 1 },
    });
    const given = { stride: 2, method: 'skip', first_layer: -3, last_layer: -1 };
    expect(read(altup({ sequence: given }))).toMatchObject({
      altup: { numBlocks: 2 },
      sequence: { method: 'skip', stride: 2, firstLayer: 0, lastLayer: 2 },
    });
    expect(read({ altup: { sequence: { stride: 3, method: 'average' } } }).sequence).toEqual({
      method: 'average',
      stride: 3,
      firstLayer: 0,
      lastLayer: 2,
    });
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['T5 1.0 says nothing', { model_type: 't5' }, { activation: 'relu', isGated: false, headScale: 0.25 }],
    [
      'mT5 is never scaled',
      { model_type: 'mt5', tie_word_embeddings: true },
      { activation: 'gelu_new', isGated: true, headScale: 1, hasBiasByLayer: false },
    ],
    [
      'UMT5 always is',
      { model_type: 'umt5', tie_word_embeddings: false },
      { activation: 'gelu_new', isGated: true, headScale: 0.25, hasBiasByLayer: true },
    ],
  ])('knows the relatives: %s', (_what, change, expected) => {
    const unsaid = { feed_forward_proj: undefined, dense_act_fn: undefined, is_gated_act: undefined };
    expect(read({ ...unsaid, tie_word_embeddings: undefined, ...change })).toMatchObject(expected);
  });

  it("has Hugging Face's defaults where a field is missing", () => {
    const missing = [
      'num_decoder_layers',
      'relative_attention_num_buckets',
      'relative_attention_max_distance',
      'tie_word_embeddings',
      'layer_norm_epsilon',
      'n_positions',
      'altup',
    ];
    const config = read({ ...Object.fromEntries(missing.map((field) => [field, undefined])), num_layers: 5 });
    expect(config).toMatchObject({
      decoderLayers: 5,
      numBuckets: 32,
      maxDistance: 128,
      epsilon: 1e-6,
      contextLength: 512,
    });
    expect(config).toMatchObject({ headScale: 0.25, altup: null });
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [
      { feed_forward_proj: 'tanh' },
      /^config\.json: feed_forward_proj is "tanh"; expected "relu" or "gated-gelu"/,
    ],
    [{ feed_forward_proj: 'relu' }, /dense_act_fn is "gelu_new"; expected "relu"/],
    [{ dense_act_fn: 'silu' }, /dense_act_fn is "silu"; expected "gelu_new"/],
    [{ is_gated_act: false }, /is_gated_act is false; expected true, as in feed_forward_proj "gated-gelu"/],
    [{ is_encoder_decoder: false }, /is_encoder_decoder is false/],
    [{ scale_decoder_outputs: 'no' }, /scale_decoder_outputs is "no"; expected true or false/],
    [{ moe: { num_experts: 8 } }, /moe\.expert_d_ff is missing/],
    [
      { moe: { num_experts: 2, expert_d_ff: 8, top_k: 3 } },
      /moe\.top_k is 3; expected at most 2, the number of experts/,
    ],
    [
      { moe: { num_experts: 2, expert_d_ff: 8, capacity: 3 } },
      /moe\.capacity is 3; expected no such field \(known: num_experts/,
    ],
    [{ quantization_config: {} }, /quantization_config is \{\}/],
    [altup({ sequence: {} }), /altup\.sequence\.stride is missing/],
    [
      altup({ sequence: { stride: 2, method: 'max' } }),
      /sequence\.method is "max"; expected "altup" or "skip"/,
    ],
    [altup({ sequence: { stride: 2, first_layer: 3 } }), /first_layer is 3; expected a layer from 0 to 2/],
    [altup({ sequence: { stride: 2, first_layer: -4 } }), /first_layer is -4; expected a layer from 0 to 2/],
    [altup({ sequence: { stride: 2, last_layer: 0 } }), /last_layer is 0; expected a layer from 1 to 2/],
    [altup({ sequence: { stride: 2, last_layer: 3 } }), /last_layer is 3; expected a layer from 1 to 2/],
    [altup({ sequence: { stride: 2, last_layer: 1.5 } }), /last_layer is 1\.5; expected an integer/],
    [
      altup({ sequence: { stride: 2, method: 'average', last_layer: 1 } }),
      /last_layer is 1; expected none: all layers see averaged tokens/,
    ],
    [
      { altup: { recycled: true, sequence: { stride: 2 } } },
      /recycled is true; expected none: without num_blocks/,
    ],
    [
      altup({ num_streams: 4 }),
      /altup\.num_streams is 4; expected no such field \(known: num_blocks, selection/,
    ],
    [altup({ num_blocks: 0 }), /altup\.num_blocks is 0; expected an integer from 1 to 64/],
    [altup({ num_blocks: undefined }), /altup\.num_blocks is missing/],
    [altup({ selection: 'random' }), /altup\.selection is "random"; expected "alternating" or "same"/],
    [altup({ recycled: 'yes' }), /altup\.recycled is "yes"; expected true or false/],
    [{ altup: [2] }, /altup is \[2\]; expected an object/],
    [{ d_model: '16' }, /d_model is "16"; expected an integer from 1 to/],
    [{ d_kv: 12 }, /d_kv is 12; expected a multiple of 8/],
    [{ layer_norm_epsilon: -1 }, /layer_norm_epsilon is -1; expected a number from/],
    [
      { relative_attention_num_buckets: 18 },
      /relative_attention_num_buckets is 18; expected a multiple of 4/,
    ],
    [{ relative_attention_max_distance: 8 }, /relative_attention_max_distance is 8; expected more than half/],
  ])('refuses %j', (change, message) => {
    expect(() => read(change)).toThrow(message);
  });
});
