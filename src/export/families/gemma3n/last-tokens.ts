import { int } from '../../onnx/attributes.ts';
import type { GraphBuilder } from '../../onnx/graph-builder.ts';
import { pickRows } from '../gemma/graph-parts.ts';

/** Name of the axis of the kept tokens in shapes. */
export const keptAxis = 'kept';

/**
 * The last tokens of a chunk: from the first one with requested logits, or only the last one if no logits are
 * requested. So attention never gets a chunk without tokens. In a batch, each row is one token, which is kept.
 */
export class LastTokens {
  readonly #graph: GraphBuilder;
  readonly #logitPositions: string;
  /** int64 [1]: index of the first kept token within the chunk, and of the token after the chunk. */
  readonly #start: string;
  readonly #end: string;

  /** @param ids int64 [batch, sequence] @param logitPositions int64 [rows] into batch × sequence */
  constructor(graph: GraphBuilder, ids: string, logitPositions: string) {
    this.#graph = graph;
    this.#logitPositions = logitPositions;
    const path = '/last_tokens';
    this.#end = graph.add('Shape', `${path}/end`, [ids], { attributes: { start: int(1) } });
    const last = graph.add('Sub', `${path}/last`, [this.#end, graph.integers(1)]);
    const candidates = graph.add('Concat', `${path}/candidates`, [logitPositions, last], {
      attributes: { axis: int(0) },
    });
    this.#start = graph.add('ReduceMin', `${path}/start`, [candidates]);
  }

  /** Keeps these tokens of x, [batch, sequence, …]. Calls with the same x share one node. */
  of(x: string, tokenAxis = 1): string {
    const graph = this.#graph;
    const name = `${x}/kept`;
    if (graph.computes(name)) return name;
    return graph.add('Slice', name, [x, this.#start, this.#end, graph.integers(tokenAxis)]);
  }

  /** Picks the tokens with requested logits of x [batch, kept tokens, d]: [rows, d]. */
  withLogits(x: string, d: number): string {
    const rows = this.#graph.add('Sub', '/last_tokens/rows', [this.#logitPositions, this.#start]);
    return pickRows(this.#graph, '/last_tokens/with_logits', x, d, rows);
  }
}
