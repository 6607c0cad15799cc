import { e2b } from '../../scripts/random-gemma3n/shape.ts';

/** Gemma 3n E2B's shape in small, with every kind of layer. */
export const smallGemma3n = {
  ...e2b,
  num_hidden_layers: 6,
  num_kv_shared_layers: 1,
  hidden_size: 64,
  hidden_size_per_layer_input: 32,
  intermediate_size: 96,
  head_dim: 16,
  vocab_size: 1500,
  vocab_size_per_layer_input: 1400,
};
