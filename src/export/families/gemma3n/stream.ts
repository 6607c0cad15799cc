/**
 * What runs through Gemma 3n's layers: the K blocks of AltUp, or one tensor in the model without it. A layer reads and
 * computes [batch, sequence, d] either way, and `inject` makes what it then adds from its own corrected result.
 */
export interface Gemma3nStream {
  /** Takes the embedded tokens in. @returns what layer 0 reads */
  begin(embedded: string): string;
  /** Takes in what `layer` computed from what it read. @returns what the next layer reads */
  advance(layer: number, computed: string, inject: (corrected: string) => string): string;
  /**
   * Takes in what the last layer computed for `rows`, int64 [rows] into batch × sequence.
   * @param computed [rows, d]
   * @returns what the final norm reads, [rows, d]
   */
  end(computed: string, inject: (corrected: string) => string, rows: string): string;
}
