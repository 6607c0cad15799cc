/** What runs a model's graphs. */
export interface Runtime {
  backend: 'native' | 'onnxruntime-node';
  /** As `ALTUP_EXECUTION_PROVIDER` names it. */
  executionProvider: 'cpu';
}

/**
 * The narrow waist between the engine and ONNX Runtime: one loaded model with a slot cache.
 *
 * A slot is one row of the cache, `capacity` positions long. Slots that decode are kept contiguous from 0
 * by the caller (see engine/slot-table.ts), so that one ragged batch covers them. Calls never overlap: the
 * engine awaits each before the next.
 */
export interface Session {
  readonly runtime: Runtime;
  readonly slots: number;
  /** Decoder positions a slot holds. */
  readonly capacity: number;
  /** Encoder positions a slot holds; 0 for decoder-only models. */
  readonly encoderCapacity: number;
  readonly vocabSize: number;

  /** Encoder-decoder models: runs the encoder over `tokens` and keeps the cross-attention keys and values in `slot`. */
  encode(slot: number, tokens: readonly number[]): Promise<void>;

  /**
   * Appends a chunk of `tokens` to `slot`, whose first `past` positions are already filled.
   * @param logitRows indices into `tokens` whose logits are wanted, ascending; may be empty
   * @returns logits, fp32 [logitRows.length × vocabSize], valid until the next call
   */
  prefill(
    slot: number,
    tokens: readonly number[],
    past: number,
    logitRows: readonly number[],
  ): Promise<Float32Array>;

  /**
   * One token for each of the slots 0..tokens.length-1; `pasts[i]` positions of slot i are already filled.
   * @returns logits, fp32 [tokens.length × vocabSize], valid until the next call
   */
  decode(tokens: readonly number[], pasts: readonly number[]): Promise<Float32Array>;

  /** Makes slot `to` a copy of the first `length` decoder positions (and the encoder side) of slot `from`. */
  copySlot(from: number, to: number, length: number): void;

  /** Frees the model and its cache. Never called while another call runs. */
  close(): Promise<void>;
}

export interface SessionOptions {
  /** Folder with manifest.json and the graphs. */
  folder: string;
  slots: number;
  /** Upper bound on positions per slot; the model's own limit applies too. */
  maxContext: number;
  threads: number;
}
