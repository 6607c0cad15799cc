import { altupDomain } from '../../altup/domain.ts';
import { linear } from '../../layers/linear.ts';
import { cacheType, inCache, inCompute, toCompute, toStream } from '../../layers/model-graph.ts';
import { float, int } from '../../onnx/attributes.ts';
import { weightOf } from '../../onnx/weight.ts';
import { type GemmaGraph, normalize, rmsNorm } from './graph-parts.ts';
import type { AttentionKind } from './rope-config.ts';
import { type Angles, rotate } from './rotary.ts';

/** Names of values shared by all layers. */
export interface AttentionInputs {
  /** int32 [batch]: total length of each row − 1. */
  seqlens: string;
  /** int32 [1]: maximum total length. */
  total: string;
  /** int32 [segments, 3]: slot, positions before, number of tokens, if tokens of several slots are packed. */
  segments: string;
  angles: Readonly<Record<AttentionKind, Angles>>;
}

/** Differences in attention between families and layers. */
export interface AttentionStyle {
  /** Queries and keys are normalised per head. */
  normalizesHeads: boolean;
  /** Values are also normalised per head, without a weight. */
  normalizesValues: boolean;
  /** null if the layer has its own keys and values. */
  shared: SharedCache | null;
}

/** Keys and values of an earlier layer, for a layer that computes only the last tokens of a chunk. */
interface SharedCache {
  layer: number;
  /** x [batch, sequence, …] → these tokens of x. */
  lastTokens: (x: string) => string;
}

/**
 * W_o·attention(x) for a normalised x, over the row's cache and the chunk itself. It rotates queries and keys. x is
 * [batch, sequence, d], or has only the chunk's last tokens if the cache is shared.
 */
export function attention(
  gemma: GemmaGraph,
  index: number,
  x: string,
  inputs: AttentionInputs,
  style: AttentionStyle,
): string {
  const { numHeads, headSize, hiddenSize } = gemma.config;
  const layer = new AttentionLayer(gemma, index, inputs, style);
  const inner = numHeads * headSize;
  const compute = toCompute(gemma, x);
  const q = layer.rotated('q', layer.project('q', compute, inner), numHeads, `${layer.path}/q/rotated`);
  const mixed =
    style.shared === null ? overOwnCache(layer, q, compute) : overSharedCache(layer, q, style.shared);
  const out = `${gemma.prefix}layers.${index}.self_attn.o_proj.weight`;
  return toStream(gemma, linear(gemma, `${layer.path}/o`, mixed, out, [hiddenSize, inner]));
}

/**
 * `present` may share the memory of `past_key_values`. `new` holds only the chunk's rows, for callers that manage the
 * cache themselves.
 */
function overOwnCache(layer: AttentionLayer, query: string, x: string): string {
  const { gemma, index, style } = layer;
  const { graph, config } = gemma;
  const { kvHeads, headSize } = config;
  const type = cacheType(gemma.precision);
  const inner = kvHeads * headSize;
  const cache = ['batch', kvHeads, 'capacity', headSize];
  const parts = ['key', 'value'] as const;
  const past = parts.map((part) => graph.input(pastName(index, part), type, cache));
  const present = parts.map((part) => presentName(index, part));
  for (const name of present) graph.output(name, type, cache);

  const made = parts.map((part) => newName(index, part));
  const [key, value] = made as [string, string];
  inCache(gemma, key, (name) => layer.rotated('k', layer.project('k', x, inner), kvHeads, name));
  inCache(gemma, value, (name) =>
    style.normalizesValues
      ? layer.unweighted(layer.project('v', x, inner), kvHeads, name)
      : layer.project('v', x, inner, name),
  );
  for (const name of made) graph.output(name, type, ['batch', 'sequence', inner]);
  return layer.attend(query, [key, value], past, present);
}

/**
 * The layer reads what the earlier layer made of the cache, and writes the last tokens' rows there again. Nothing is
 * copied if `present.<shared>.<part>.<layer>` shares the memory of `present.<shared>.<part>`. With empty keys and
 * values, GroupQueryAttention would only read the cache, which is less work, but WebGPU's attention without subgroups
 * is wrong in that case.
 */
function overSharedCache(layer: AttentionLayer, query: string, shared: SharedCache): string {
  const { gemma, index } = layer;
  const { graph, config } = gemma;
  const cache = ['batch', config.kvHeads, 'capacity', config.headSize];
  const parts = ['key', 'value'] as const;
  const made = parts.map((part) => shared.lastTokens(newName(shared.layer, part)));
  const past = parts.map((part) => presentName(shared.layer, part));
  const present = past.map((name) => `${name}.${index}`);
  for (const name of present) graph.output(name, cacheType(gemma.precision), cache);
  return layer.attend(query, made, past, present);
}

const pastName = (index: number, part: 'key' | 'value') => `past_key_values.${index}.${part}`;
const presentName = (index: number, part: 'key' | 'value') => `present.${index}.${part}`;
const newName = (index: number, part: 'key' | 'value') => `new.${index}.${part}`;

class AttentionLayer {
  readonly gemma: GemmaGraph;
  readonly index: number;
  readonly path: string;
  readonly style: AttentionStyle;
  readonly #inputs: AttentionInputs;

  constructor(gemma: GemmaGraph, index: number, inputs: AttentionInputs, style: AttentionStyle) {
    this.gemma = gemma;
    this.index = index;
    this.style = style;
    this.path = `/layers.${index}/attention`;
    this.#inputs = inputs;
  }

  project(part: 'q' | 'k' | 'v', x: string, width: number, output = `${this.path}/${part}`): string {
    const { gemma, index, path } = this;
    const weight = `${gemma.prefix}layers.${index}.self_attn.${part}_proj.weight`;
    return linear(gemma, `${path}/${part}`, x, weight, [width, gemma.config.hiddenSize], output);
  }

  /**
   * Normalises, if the style says so, and rotates the heads of x [batch, sequence, heads · head size]; the result has the
   * compute type.
   */
  rotated(part: 'q' | 'k', x: string, heads: number, output: string): string {
    const { gemma, index, path } = this;
    const { layers, headSize } = gemma.config;
    const weight = `layers.${index}.self_attn.${part}_norm.weight`;
    const stream = toStream(gemma, x);
    const normed = this.style.normalizesHeads
      ? this.#byHead(`${path}/${part}_norm`, stream, heads, (name, split) =>
          rmsNorm(gemma, name, split, weight, headSize),
        )
      : stream;
    const { cos, sin } = this.#inputs.angles[layers[index]!.attention];
    const angles = { cos: this.#ownTokens(cos), sin: this.#ownTokens(sin) };
    return inCompute(gemma, output, (name) => rotate(gemma.graph, name, normed, angles, heads));
  }

  /** The tokens of x that the layer computes. */
  #ownTokens(x: string): string {
    return this.style.shared?.lastTokens(x) ?? x;
  }

  /** Normalises the heads of x with a weight of ones; the result has the compute type. */
  unweighted(x: string, heads: number, output: string): string {
    const { gemma, path } = this;
    const { headSize, epsilon } = gemma.config;
    const ones = weightOf(`${path}/v_norm/ones`, [headSize], new Float32Array(headSize).fill(1));
    const scale = gemma.graph.weight(ones);
    return inCompute(gemma, output, (name) =>
      this.#byHead(
        `${path}/v_norm`,
        toStream(gemma, x),
        heads,
        (node, split) => normalize(gemma.graph, node, split, scale, epsilon),
        name,
      ),
    );
  }

  attend(query: string, keyAndValue: string[], past: string[], present: string[]): string {
    const { gemma, index, path } = this;
    const { numHeads, kvHeads, attentionScale, layers } = gemma.config;
    const { window } = layers[index]!;
    const name = `${path}/attend`;
    const { seqlens, total, segments } = this.#inputs;
    const from = [query, ...keyAndValue, ...past, seqlens, total, segments];
    return gemma.graph.add('GroupedQueryAttention', name, from, {
      domain: altupDomain,
      attributes: {
        num_heads: int(numHeads),
        kv_num_heads: int(kvHeads),
        local_window_size: int(window ?? -1),
        scale: float(attentionScale),
        softcap: float(0),
      },
      outputs: [name, ...present],
    });
  }

  #byHead(
    name: string,
    x: string,
    heads: number,
    normed: (name: string, x: string) => string,
    output = `${name}/joined`,
  ): string {
    const { graph, config } = this.gemma;
    const split = graph.add('Reshape', `${name}/heads`, [x, graph.integers(0, 0, heads, config.headSize)]);
    const shape = graph.integers(0, 0, heads * config.headSize);
    return graph.add('Reshape', `${name}/join`, [normed(name, split), shape], { outputs: [output] });
  }
}
