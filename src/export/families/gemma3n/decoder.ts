import { altupDomain } from '../../altup/domain.ts';
import { embeddingTable } from '../../layers/embedding.ts';
import { float } from '../../onnx/attributes.ts';
import { attention } from '../gemma/attention.ts';
import { type DecoderInputs, decoderInputs } from '../gemma/decoder-inputs.ts';
import { feedForward, rmsNorm, scaleBy, streamLinear } from '../gemma/graph-parts.ts';
import { outputHead } from '../gemma/output-head.ts';
import type { Gemma3nGraph } from './graph.ts';
import { LastTokens } from './last-tokens.ts';
import { gatedInput, inputOfLayer, perLayerInputs } from './per-layer-inputs.ts';
import { RoutedStream } from './routed-stream.ts';
import type { Gemma3nStream } from './stream.ts';

/**
 * decoder.onnx of Gemma 3n (Gemma3nForCausalLM in Hugging Face Transformers): a chunk of tokens per row that follows
 * the row's cache → logits of the requested tokens, and the extended cache.
 */
export function buildDecoder(gemma: Gemma3nGraph, stream: Gemma3nStream = new RoutedStream(gemma)): void {
  const { graph, config, prefix } = gemma;
  const { hiddenSize: d, vocabSize } = config;
  const inputs = decoderInputs(gemma);
  const table = embeddingTable(gemma, `${prefix}embed_tokens.weight`, [vocabSize, d]);
  const embedded = scaleBy(
    graph,
    '/embed_tokens/scaled',
    table.lookUp('/embed_tokens', inputs.ids),
    Math.sqrt(d),
  );
  const tokens = new LastTokens(graph, inputs.ids, inputs.logitPositions);
  let injected = perLayerInputs(gemma, inputs.ids, embedded);
  // Only logits need what follows the attention of the last layer with its own cache, so it runs only for tokens with
  // requested logits and those after them.
  const lastCached = config.sharedLayers.lastIndexOf(null);
  const last = config.layers.length - 1;
  let x = stream.begin(embedded);
  for (let index = 0; index <= last; index += 1) {
    let z = attended(gemma, index, x, inputs, tokens);
    if (index === lastCached) {
      z = tokens.of(z);
      injected = tokens.of(injected);
      stream.keep(tokens);
    }
    const inject = (corrected: string) =>
      gatedInput(gemma, index, corrected, inputOfLayer(gemma, injected, index));
    const computed = fedForward(gemma, index, z);
    x = index < last ? stream.advance(index, computed, inject) : stream.end(computed, inject);
  }
  outputHead(gemma, table, tokens.withLogits(x, d));
}

/** z = (x + norm(attention(n)) + laurel(n)) / √2, where n = norm(x). */
function attended(
  gemma: Gemma3nGraph,
  index: number,
  x: string,
  inputs: DecoderInputs,
  tokens: LastTokens,
): string {
  const { graph, config } = gemma;
  const { hiddenSize: d, sharedLayers } = config;
  const [path, layer] = [`/layers.${index}`, `layers.${index}`];
  const normed = rmsNorm(gemma, `${path}/input_layernorm`, x, `${layer}.input_layernorm.weight`, d);
  const source = sharedLayers[index] ?? null;
  const shared = source === null ? null : { layer: source, lastTokens: (name: string) => tokens.of(name) };
  const style = { normalizesHeads: true, normalizesValues: true, shared };
  const mixed = attention(gemma, index, normed, inputs.attention, style);
  const behind = `${layer}.post_attention_layernorm.weight`;
  const gated = graph.add('Add', `${path}/attended`, [
    x,
    rmsNorm(gemma, `${path}/post_attention`, mixed, behind, d),
  ]);
  const sum = graph.add('Add', `${path}/laurel/sum`, [gated, laurel(gemma, index, normed)]);
  return scaleBy(graph, `${path}/laurel/mean`, sum, Math.SQRT1_2);
}

/** LAuReL, a residual connection with a learned low-rank part (arXiv 2411.07501): n + norm(W_right·W_left·n). */
function laurel(gemma: Gemma3nGraph, index: number, normed: string): string {
  const { graph, config } = gemma;
  const { hiddenSize: d, laurelRank } = config;
  const [path, layer] = [`/layers.${index}/laurel`, `layers.${index}.laurel`];
  const left = streamLinear(gemma, `${path}/left`, normed, `${layer}.linear_left.weight`, [laurelRank, d]);
  const right = streamLinear(gemma, `${path}/right`, left, `${layer}.linear_right.weight`, [d, laurelRank]);
  const learned = rmsNorm(gemma, `${path}/norm`, right, `${layer}.post_laurel_norm.weight`, d);
  return graph.add('Add', path, [normed, learned]);
}

/** z + norm(feedForward(norm(z))). The first layers keep only their largest gates. */
function fedForward(gemma: Gemma3nGraph, index: number, z: string): string {
  const { graph, config } = gemma;
  const { hiddenSize: d } = config;
  const [path, layer] = [`/layers.${index}`, `layers.${index}`];
  const multiplier = config.stdMultipliers[index] ?? null;
  const sparsify = (gate: string) =>
    multiplier === null
      ? gate
      : graph.add('GaussianTopK', `${path}/mlp/top_k`, [gate], {
          domain: altupDomain,
          attributes: { std_multiplier: float(multiplier) },
        });
  const normed = rmsNorm(gemma, `${path}/pre_feedforward`, z, `${layer}.pre_feedforward_layernorm.weight`, d);
  const fed = feedForward(gemma, `${path}/mlp`, normed, index, sparsify);
  const behind = rmsNorm(
    gemma,
    `${path}/post_feedforward`,
    fed,
    `${layer}.post_feedforward_layernorm.weight`,
    d,
  );
  return graph.add('Add', `${path}/fed`, [z, behind]);
}
