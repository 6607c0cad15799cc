import type { LastTokens } from './last-tokens.ts';

/**
 * The residual stream of Gemma 3n: the K blocks of AltUp, or one tensor in the model without AltUp. Layers read and
 * compute [batch, sequence, d] in both cases. `inject` computes what a layer then adds, from its corrected result.
 */
export interface Gemma3nStream {
  /** Receives the embedded tokens. @returns the input of layer 0 */
  begin(embedded: string): string;
  /** Receives the result of `layer`. @returns the input of the next layer */
  advance(layer: number, computed: string, inject: (corrected: string) => string): string;
  /** From here on, the results of layers have only these tokens. */
  keep(tokens: LastTokens): void;
  /** Receives the result of the last layer. @returns the input of the final norm */
  end(computed: string, inject: (corrected: string) => string): string;
}
