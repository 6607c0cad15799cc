import { int, text } from '../onnx/attributes.ts';
import type { GraphBuilder } from '../onnx/graph-builder.ts';
import { altupDomain } from './domain.ts';
import type { ResidualStream } from './residual-stream.ts';

export interface AltUpStreamOptions {
  /** Prefix of node names, such as `/decoder`. */
  path: string;
  /** Name of the token axis in the graph. */
  sequence: string;
  layers: number;
  /** K */
  numBlocks: number;
  /** Width of a block. */
  d: number;
  expand: 'split' | 'replicate';
  collapse: 'concatenate' | 'sum';
  /** The block that a layer computes, j*. */
  activeBlock: (layer: number) => number;
  /** Initializer names of a layer's P [K, K] and G [K]. */
  predictionCoefs: (layer: number) => string;
  correctionCoefs: (layer: number) => string;
}

/**
 * The paper's AltUp around layers of width d: Expand, Predict and Select before the first layer, one CorrectPredict
 * between layers, Correct and Collapse after the last.
 */
export class AltUpStream implements ResidualStream {
  readonly #graph: GraphBuilder;
  readonly #options: AltUpStreamOptions;
  /** X̂ of the current layer. */
  #predicted = '';

  constructor(graph: GraphBuilder, options: AltUpStreamOptions) {
    this.#graph = graph;
    this.#options = options;
  }

  begin(embedded: string): string {
    const { path, expand, numBlocks, activeBlock, predictionCoefs } = this.#options;
    const blocks = this.#add('Expand', `${path}/expand`, [embedded], {
      mode: text(expand),
      num_blocks: int(numBlocks),
    });
    this.#predicted = this.#add('Predict', `${path}/block.0/predict`, [blocks, predictionCoefs(0)]);
    const read = this.#add('Select', `${path}/block.0/select`, [blocks], { active: int(activeBlock(0)) });
    for (const value of [blocks, this.#predicted]) this.#annotateBlocks(value, this.#tokens);
    this.#graph.annotate(read, [...this.#tokens, this.#options.d]);
    return read;
  }

  advance(layer: number, computed: string): string {
    const { path, activeBlock, predictionCoefs, correctionCoefs } = this.#options;
    const name = `${path}/block.${layer}/correct_predict`;
    const inputs = [this.#predicted, computed, correctionCoefs(layer), predictionCoefs(layer + 1)];
    const read = `${name}/read`;
    this.#predicted = this.#graph.add('CorrectPredict', name, inputs, {
      domain: altupDomain,
      attributes: {
        active: int(activeBlock(layer)),
        next: int(activeBlock(layer + 1)),
        // In the paper, a layer reads the block before Predict, not its prediction.
        reads: text('corrected'),
      },
      outputs: [`${name}/predicted`, read],
    });
    this.#annotateBlocks(this.#predicted, this.#tokens);
    this.#graph.annotate(read, [...this.#tokens, this.#options.d]);
    return read;
  }

  end(computed: string, rows?: string): string {
    const { path, layers, activeBlock, correctionCoefs, collapse, numBlocks, d } = this.#options;
    const last = layers - 1;
    const name = `${path}/block.${last}/correct`;
    const predicted = rows === undefined ? this.#predicted : this.#pick(`${name}/predicted`, rows);
    const corrected = this.#add('Correct', name, [predicted, computed, correctionCoefs(last)], {
      active: int(activeBlock(last)),
    });
    const collapsed = this.#add('Collapse', `${path}/collapse`, [corrected], { mode: text(collapse) });
    const lead = rows === undefined ? this.#tokens : ['rows'];
    this.#annotateBlocks(corrected, lead);
    this.#graph.annotate(collapsed, [...lead, collapse === 'sum' ? d : numBlocks * d]);
    return collapsed;
  }

  /** X̂ [K, batch, sequence, d] → [K, rows, d]. */
  #pick(name: string, rows: string): string {
    const flatShape = this.#graph.integers(0, -1, this.#options.d);
    const flat = this.#graph.add('Reshape', `${name}/flat`, [this.#predicted, flatShape]);
    return this.#graph.add('Gather', `${name}/rows`, [flat, rows], { attributes: { axis: int(1) } });
  }

  get #tokens(): string[] {
    return ['batch', this.#options.sequence];
  }

  #add(op: string, name: string, inputs: string[], attributes = {}): string {
    return this.#graph.add(op, name, inputs, { domain: altupDomain, attributes });
  }

  #annotateBlocks(value: string, lead: readonly string[]): void {
    this.#graph.annotate(value, [this.#options.numBlocks, ...lead, this.#options.d]);
  }
}
