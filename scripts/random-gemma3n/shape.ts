/** The part of Gemma 3n's shape that determines a checkpoint's size; field names as in config.json. */
export interface Gemma3nShape {
  num_hidden_layers: number;
  num_kv_shared_layers: number;
  hidden_size: number;
  hidden_size_per_layer_input: number;
  intermediate_size: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  vocab_size: number;
  vocab_size_per_layer_input: number;
  laurel_rank: number;
  altup_num_inputs: number;
  /** Number of layers, from the first on, that have a sparse feed-forward layer. */
  sparse_layers: number;
}

/** Gemma 3n E2B, text tower: 4.46 billion parameters. Values as in google-deepmind/gemma, gemma/gm/nn/gemma3n. */
export const e2b: Gemma3nShape = {
  num_hidden_layers: 30,
  num_kv_shared_layers: 10,
  hidden_size: 2048,
  hidden_size_per_layer_input: 256,
  intermediate_size: 8192,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  head_dim: 256,
  vocab_size: 262_400,
  vocab_size_per_layer_input: 262_144,
  laurel_rank: 64,
  altup_num_inputs: 4,
  sparse_layers: 10,
};

declare global {
  interface JSON {
    /** TypeScript's library does not have it yet. */
    rawJSON(text: string): object;
  }
}

/** A number with a decimal point, because transformers expects one for floats. */
const float = (value: number) => JSON.rawJSON(Number.isInteger(value) ? value.toFixed(1) : String(value));

/** The config.json of Hugging Face's Gemma3nForCausalLM, for `JSON.stringify`. */
export function configOf({ sparse_layers, ...shape }: Gemma3nShape): object {
  const layers = Array.from({ length: shape.num_hidden_layers }, (_, layer) => layer);
  return {
    ...shape,
    model_type: 'gemma3n_text',
    architectures: ['Gemma3nForCausalLM'],
    dtype: 'bfloat16',
    intermediate_size: layers.map(() => shape.intermediate_size),
    layer_types: layers.map((layer) => ((layer + 1) % 5 === 0 ? 'full_attention' : 'sliding_attention')),
    activation_sparsity_pattern: layers.map((layer) => float(layer < sparse_layers ? 0.95 : 0)),
    altup_active_idx: 0,
    altup_coef_clip: float(120),
    altup_correct_scale: true,
    attention_bias: false,
    attention_dropout: float(0),
    bos_token_id: 2,
    eos_token_id: 1,
    pad_token_id: 0,
    final_logit_softcapping: float(30),
    hidden_activation: 'gelu_pytorch_tanh',
    initializer_range: 0.02,
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    rope_theta: float(1_000_000),
    rope_local_base_freq: float(10_000),
    rope_scaling: null,
    sliding_window: 512,
    tie_word_embeddings: true,
    use_cache: true,
  };
}

/** A tensor's shape, and the standard deviation of its numbers; null: all ones. */
export interface RandomTensor {
  name: string;
  shape: readonly number[];
  deviation: number | null;
}

/** Every tensor of Hugging Face's Gemma3nForCausalLM, layers in order. */
export function tensorsOf(shape: Gemma3nShape): RandomTensor[] {
  const d = shape.hidden_size;
  const p = shape.hidden_size_per_layer_input;
  const k = shape.altup_num_inputs;
  const layers = Array.from({ length: shape.num_hidden_layers }, (_, layer) => layerTensors(shape, layer));
  const projections = ['altup_projections', 'altup_unembed_projections'].flatMap((name) =>
    Array.from({ length: k - 1 }, (_, i) => matrix(`${name}.${i}.weight`, d, d)),
  );
  return [
    matrix('embed_tokens.weight', shape.vocab_size, d),
    matrix('embed_tokens_per_layer.weight', shape.vocab_size_per_layer_input, p * layers.length),
    matrix('per_layer_model_projection.weight', p * layers.length, d),
    norm('per_layer_projection_norm.weight', p),
    ...projections,
    ...layers.flat(),
    norm('norm.weight', d),
  ].map((tensor) => ({ ...tensor, name: `model.${tensor.name}` }));
}

function layerTensors(shape: Gemma3nShape, layer: number): RandomTensor[] {
  const d = shape.hidden_size;
  const p = shape.hidden_size_per_layer_input;
  const k = shape.altup_num_inputs;
  const queries = shape.num_attention_heads * shape.head_dim;
  const keys = shape.num_key_value_heads * shape.head_dim;
  const feedForward = shape.intermediate_size;
  const rank = shape.laurel_rank;
  return [
    matrix('self_attn.q_proj.weight', queries, d),
    matrix('self_attn.k_proj.weight', keys, d),
    matrix('self_attn.v_proj.weight', keys, d),
    matrix('self_attn.o_proj.weight', d, queries),
    norm('self_attn.q_norm.weight', shape.head_dim),
    norm('self_attn.k_norm.weight', shape.head_dim),
    matrix('mlp.gate_proj.weight', feedForward, d),
    matrix('mlp.up_proj.weight', feedForward, d),
    matrix('mlp.down_proj.weight', d, feedForward),
    matrix('laurel.linear_left.weight', rank, d),
    matrix('laurel.linear_right.weight', d, rank),
    norm('laurel.post_laurel_norm.weight', d),
    matrix('altup.modality_router.weight', k, d),
    norm('altup.router_norm.weight', d),
    // Small coefficients, as at the start of training: the blocks neither vanish nor grow.
    matrix('altup.prediction_coefs.weight', k * k, k, 1e-4),
    matrix('altup.correction_coefs.weight', k, k, 1e-2),
    norm('altup.correct_output_scale', d),
    matrix('per_layer_input_gate.weight', p, d),
    matrix('per_layer_projection.weight', d, p),
    ...normNames.map((name) => norm(`${name}.weight`, d)),
  ].map((tensor) => ({ ...tensor, name: `layers.${layer}.${tensor.name}` }));
}

const normNames = [
  'input_layernorm',
  'post_attention_layernorm',
  'pre_feedforward_layernorm',
  'post_feedforward_layernorm',
  'post_per_layer_input_norm',
];

const matrix = (name: string, rows: number, columns: number, deviation = 0.02): RandomTensor => ({
  name,
  shape: [rows, columns],
  deviation,
});

const norm = (name: string, width: number): RandomTensor => ({ name, shape: [width], deviation: null });
