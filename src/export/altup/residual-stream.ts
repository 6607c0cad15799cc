/**
 * The residual stream through the layers of a stack: one tensor in a dense model, K blocks with AltUp. Layers read and
 * compute [batch, sequence, d] in both cases.
 */
export interface ResidualStream {
  /** Receives the embedded tokens. @returns the input of layer 0 */
  begin(embedded: string): string;
  /** Receives the result of `layer`. @returns the input of the next layer */
  advance(layer: number, computed: string): string;
  /**
   * Receives the result of the last layer. @returns the input of the final norm
   * @param rows int64 [rows], if only these of the batch × sequence tokens continue; `computed` is then [rows, d]
   */
  end(computed: string, rows?: string): string;
}

/** Stream of a dense model: each layer reads the result of the previous one. */
export const denseStream: ResidualStream = {
  begin: (embedded) => embedded,
  advance: (_layer, computed) => computed,
  end: (computed) => computed,
};
