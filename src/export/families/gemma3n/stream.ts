/**
 * The residual stream of Gemma 3n: the K blocks of AltUp, or one tensor in the model without AltUp. Layers read and
 * compute [batch, sequence, d] in both cases. `inject` computes what a layer then adds, from its corrected result.
 */
export interface Gemma3nStream {
  /** Receives the embedded tokens. @returns the input of layer 0 */
  begin(embedded: string): string;
  /** Receives the result of `layer`. @returns the input of the next layer */
  advance(layer: number, computed: string, inject: (corrected: string) => string): string;
  /**
   * Receives the result of the last layer for `rows`, int64 [rows] into batch × sequence.
   * @param computed [rows, d]
   * @returns the input of the final norm, [rows, d]
   */
  end(computed: string, inject: (corrected: string) => string, rows: string): string;
}
