import { altupDomain } from '../../altup/domain.ts';
import { type Attributes, int, text } from '../../onnx/attributes.ts';
import { weightOf } from '../../onnx/weight.ts';
import { normalize, number, scaleBy, streamLinear } from '../gemma/graph-parts.ts';
import type { Gemma3nGraph } from './graph.ts';
import { keptAxis, type LastTokens } from './last-tokens.ts';
import type { Gemma3nStream } from './stream.ts';

/**
 * AltUp in Gemma 3n (Gemma3nTextAltUp in Hugging Face Transformers). A router computes coefficients for each token, the
 * layer reads the predicted block, and learned projections lead into and out of the blocks. A layer's injection goes to
 * all blocks except the first.
 */
export class RoutedStream implements Gemma3nStream {
  readonly #gemma: Gemma3nGraph;
  /** By layer. */
  readonly #routers: Router[];
  /** A mask [K, 1, 1, 1]: 0 for block 0, 1 for the others. */
  readonly #allButFirst: string;
  /** Name of the tokens' axis in shapes. */
  #tokens = 'sequence';
  /** X̂ of the current layer. */
  #predicted = '';

  constructor(gemma: Gemma3nGraph) {
    const { graph, config } = gemma;
    const { numBlocks } = config.altup;
    this.#gemma = gemma;
    this.#routers = routers(gemma);
    const mask = new Float32Array(numBlocks).fill(1, 1);
    this.#allButFirst = graph.weight(weightOf('/altup/all_but_first', [numBlocks, 1, 1, 1], mask));
  }

  begin(embedded: string): string {
    const { graph, config } = this.#gemma;
    const { numBlocks } = config.altup;
    const projected = this.#others().map((n) => this.#project('altup_projections', n, embedded));
    const wide = graph.add('Concat', '/altup/embedded', [embedded, ...projected], {
      attributes: { axis: int(-1) },
    });
    const blocks = this.#altup('Expand', '/altup/expand', [wide], {
      mode: text('match'),
      num_blocks: int(numBlocks),
    });
    this.#annotate(blocks);
    return this.#predict(0, blocks, this.#select('/altup/expanded', blocks));
  }

  advance(layer: number, computed: string, inject: (corrected: string) => string): string {
    const { blocks, corrected } = this.#correct(layer, computed, inject);
    // The injection does not change block 0.
    const { active } = this.#gemma.config.altup;
    const routed = active === 0 ? corrected : this.#select(`${this.#path(layer)}/injected`, blocks);
    return this.#predict(layer + 1, blocks, routed);
  }

  keep(tokens: LastTokens): void {
    this.#predicted = tokens.of(this.#predicted, 2);
    this.#tokens = keptAxis;
    this.#annotate(this.#predicted);
  }

  end(computed: string, inject: (corrected: string) => string): string {
    const { graph, config } = this.#gemma;
    const { numBlocks } = config.altup;
    const { blocks } = this.#correct(config.layers.length - 1, computed, inject);
    const split = Array.from({ length: numBlocks }, (_, n) => `/altup/split/${n}`);
    graph.add('Split', '/altup/split', [blocks], {
      attributes: { axis: int(0), num_outputs: int(numBlocks) },
      outputs: split,
    });
    const projected = this.#others().map((n) => this.#project('altup_unembed_projections', n, split[n]!));
    const whole = graph.add('Concat', '/altup/unembedded', [split[0]!, ...projected], {
      attributes: { axis: int(0) },
    });
    const collapsed = this.#altup('Collapse', '/altup/collapse', [whole], { mode: text('match') });
    graph.annotate(collapsed, ['batch', this.#tokens, config.hiddenSize]);
    return collapsed;
  }

  /** Blocks 1 to K − 1. */
  #others(): number[] {
    return Array.from({ length: this.#gemma.config.altup.numBlocks - 1 }, (_, n) => n + 1);
  }

  #path(layer: number): string {
    return `/layers.${layer}/altup`;
  }

  #project(weights: string, block: number, x: string): string {
    const { hiddenSize: d } = this.#gemma.config;
    return streamLinear(this.#gemma, `/altup/${weights}.${block - 1}`, x, `${weights}.${block - 1}.weight`, [
      d,
      d,
    ]);
  }

  /** @param active the block of X that the router reads @returns the input of the layer */
  #predict(layer: number, blocks: string, active: string): string {
    const { graph, config } = this.#gemma;
    const { numBlocks: K } = config.altup;
    const path = `${this.#path(layer)}/predict`;
    const identity = Float32Array.from({ length: K * K }, (_, n) => (n % (K + 1) === 0 ? 1 : 0));
    const matrix = this.#coefs(layer, 'prediction_coefs', path, active, identity);
    const square = graph.add('Reshape', `${path}/matrix`, [matrix, graph.integers(0, 0, K, K)]);
    this.#predicted = this.#altup('Predict', path, [blocks, square]);
    this.#annotate(this.#predicted);
    return this.#select(`${path}/read`, this.#predicted);
  }

  #correct(
    layer: number,
    computed: string,
    inject: (corrected: string) => string,
  ): { blocks: string; corrected: string } {
    const { graph, config, prefix, weights } = this.#gemma;
    const { numBlocks: K, active, scalesCorrected } = config.altup;
    const path = `${this.#path(layer)}/correct`;
    const gains = this.#coefs(layer, 'correction_coefs', path, computed, new Float32Array(K).fill(1));
    const blocks = this.#altup('Correct', path, [this.#predicted, computed, gains], { active: int(active) });
    this.#annotate(blocks);
    const corrected = this.#select(`${path}/active`, blocks);
    const scale = () =>
      weights.asStored(`${prefix}layers.${layer}.altup.correct_output_scale`, [config.hiddenSize]);
    const scaled = scalesCorrected
      ? graph.add('Mul', `${path}/scaled`, [corrected, graph.weight(scale())])
      : corrected;
    const added = graph.add('Mul', `${path}/injection`, [inject(scaled), this.#allButFirst]);
    return { blocks: graph.add('Add', `${path}/injected`, [blocks, added]), corrected };
  }

  /**
   * Coefficients for each token: base + W_coefs·r with r = tanh(W_router·norm(x) / d). They are float32 in every
   * precision, because they are few and all blocks depend on them.
   */
  #coefs(layer: number, kind: Coefs, path: string, x: string, base: Float32Array<ArrayBuffer>): string {
    const { graph, config } = this.#gemma;
    const names = this.#routers[layer]!;
    const normed = normalize(graph, `${path}/router_norm`, x, names.norm, config.epsilon);
    const routed = graph.add('MatMul', `${path}/router`, [normed, names.router]);
    const scaled = scaleBy(graph, `${path}/routed`, routed, 1 / config.hiddenSize);
    const modalities = graph.add('Tanh', `${path}/modalities`, [scaled]);
    const offsets = graph.add('MatMul', `${path}/offsets`, [modalities, names[kind]]);
    return graph.add('Add', `${path}/coefs`, [
      offsets,
      graph.weight(weightOf(`${path}/base`, [base.length], base)),
    ]);
  }

  #select(name: string, blocks: string): string {
    const { graph, config } = this.#gemma;
    const block = this.#altup('Select', name, [blocks], { active: int(config.altup.active) });
    graph.annotate(block, ['batch', this.#tokens, config.hiddenSize]);
    return block;
  }

  #altup(op: string, name: string, inputs: string[], attributes: Attributes = {}): string {
    return this.#gemma.graph.add(op, name, inputs, { domain: altupDomain, attributes });
  }

  #annotate(blocks: string): void {
    const { graph, config } = this.#gemma;
    graph.annotate(blocks, [config.altup.numBlocks, 'batch', this.#tokens, config.hiddenSize]);
  }
}

type Coefs = 'prediction_coefs' | 'correction_coefs';

/** Names of the graph values that a layer computes its coefficients from. */
type Router = Record<Coefs | 'norm' | 'router', string>;

/** Adds the routers of all layers to the graph. Clips the coefficient matrices if the config says so. */
function routers({ graph, weights, config, prefix }: Gemma3nGraph): Router[] {
  const { hiddenSize: d, altup, layers } = config;
  const { numBlocks: K, coefClip } = altup;
  const bounds =
    coefClip === null
      ? null
      : [number(graph, '/altup/clip/min', -coefClip), number(graph, '/altup/clip/max', coefClip)];
  return layers.map((_, index) => {
    const layer = `${prefix}layers.${index}.altup`;
    const coefs = (kind: Coefs, outputs: number) => {
      const matrix = graph.weight(weights.transposed(`${layer}.${kind}.weight`, [outputs, K]));
      if (bounds === null) return matrix;
      return graph.add('Clip', `/layers.${index}/altup/${kind}`, [matrix, ...bounds]);
    };
    return {
      norm: graph.weight(weights.asStored(`${layer}.router_norm.weight`, [d])),
      router: graph.weight(weights.transposed(`${layer}.modality_router.weight`, [K, d])),
      prediction_coefs: coefs('prediction_coefs', K * K),
      correction_coefs: coefs('correction_coefs', K),
    };
  });
}
