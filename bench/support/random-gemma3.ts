import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeTokenizer } from '../../scripts/random-gemma3n/tokenizer.ts';
import { type WrittenTensor, writeSafetensors } from '../../test/support/safetensors-writer.ts';
import { seededRandom } from '../../test/support/seeded-random.ts';

const hidden = 256;
const feedForward = 1024;
const layers = 6;
const heads = 4;
const keyHeads = 2;
const headSize = 64;
const vocab = 2048;

const config = {
  architectures: ['Gemma3ForCausalLM'],
  model_type: 'gemma3_text',
  vocab_size: vocab,
  hidden_size: hidden,
  intermediate_size: feedForward,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: keyHeads,
  head_dim: headSize,
  layer_types: Array.from({ length: layers }, (_, i) =>
    (i + 1) % 3 === 0 ? 'full_attention' : 'sliding_attention',
  ),
  sliding_window: 512,
  max_position_embeddings: 2048,
  query_pre_attn_scalar: headSize,
  rms_norm_eps: 1e-6,
  hidden_activation: 'gelu_pytorch_tanh',
  rope_theta: 1_000_000,
  rope_local_base_freq: 10_000,
  rope_scaling: null,
  attention_bias: false,
  attn_logit_softcapping: null,
  final_logit_softcapping: null,
  tie_word_embeddings: true,
  pad_token_id: 0,
  eos_token_id: 1,
  bos_token_id: 2,
};

/** Writes a Gemma 3 checkpoint with 6 M random weights to a temporary folder. @returns the folder */
export async function writeRandomGemma3(): Promise<string> {
  const random = seededRandom(9);
  const tensor = (...shape: number[]): WrittenTensor => {
    const values = Float32Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      () => 0.08 * (random.next() - 0.5),
    );
    return { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) };
  };
  const tensors: Record<string, WrittenTensor> = {
    'model.embed_tokens.weight': tensor(vocab, hidden),
    'model.norm.weight': tensor(hidden),
  };
  for (let layer = 0; layer < layers; layer += 1) {
    const shapes = {
      'input_layernorm.weight': [hidden],
      'post_attention_layernorm.weight': [hidden],
      'pre_feedforward_layernorm.weight': [hidden],
      'post_feedforward_layernorm.weight': [hidden],
      'mlp.gate_proj.weight': [feedForward, hidden],
      'mlp.up_proj.weight': [feedForward, hidden],
      'mlp.down_proj.weight': [hidden, feedForward],
      'self_attn.q_proj.weight': [heads * headSize, hidden],
      'self_attn.k_proj.weight': [keyHeads * headSize, hidden],
      'self_attn.v_proj.weight': [keyHeads * headSize, hidden],
      'self_attn.o_proj.weight': [hidden, heads * headSize],
      'self_attn.q_norm.weight': [headSize],
      'self_attn.k_norm.weight': [headSize],
    };
    for (const [name, shape] of Object.entries(shapes))
      tensors[`model.layers.${layer}.${name}`] = tensor(...shape);
  }
  const folder = await mkdtemp(join(tmpdir(), 'altup-bench-gemma3-'));
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(makeTokenizer(vocab)));
  await writeFile(join(folder, 'tokenizer_config.json'), '{}');
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return folder;
}
