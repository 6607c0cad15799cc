/**
 * What runs through a stack's layers: one tensor in a dense model, K blocks with AltUp. Layers see
 * [batch, sequence, d] either way.
 */
export interface ResidualStream {
  /** Takes the embedded tokens in. @returns what layer 0 reads */
  begin(embedded: string): string;
  /** Takes in what `layer` computed from what it read. @returns what the next layer reads */
  advance(layer: number, computed: string): string;
  /**
   * Takes in what the last layer computed. @returns what the final norm reads
   * @param rows int64 [rows], where only these of the batch × sequence tokens go on; `computed` is then [rows, d]
   */
  end(computed: string, rows?: string): string;
}

/** A dense model: the layers follow each other. */
export const denseStream: ResidualStream = {
  begin: (embedded) => embedded,
  advance: (_layer, computed) => computed,
  end: (computed) => computed,
};
