import type { AbortStage } from '../protocol/generation.ts';

/** What one step of a model is to do. Carried out from top to bottom. */
export interface StepPlan {
  /** Past a deadline: already out of the queue or their slot. */
  expired: readonly { id: string; stage: AbortStage }[];
  /** Left the queue for a slot. */
  started: readonly string[];
  /** Cache rows to copy first: `length` decoder positions and the encoder side. `id` null: of a request that is done. */
  moves: readonly { id: string | null; from: number; to: number; length: number }[];
  /** Parts of prompts that need not be computed, copied from `from` where that is another slot. */
  reuses: readonly PrefixReuse[];
  /** Prompts for the encoder, whole. */
  encodes: readonly { id: string; slot: number }[];
  /** Pieces of prompts for the decoder: tokens start..end-1. */
  chunks: readonly PrefillChunk[];
  /** Prompt tokens of encodes and chunks together. */
  prefillTokens: number;
  /** One token each; row i is slot i, with `past` positions filled before. */
  rows: readonly DecodeRow[];
}

export interface PrefixReuse {
  id: string;
  from: number;
  slot: number;
  /** Decoder positions to copy. */
  length: number;
  /** Tokens of the prompt that are there. */
  tokens: number;
  /** Nothing of the prompt is left to compute. */
  isWhole: boolean;
}

export interface PrefillChunk {
  id: string;
  slot: number;
  start: number;
  end: number;
  /** With this piece the prompt is complete: the first token comes from its last row. */
  isLast: boolean;
}

interface DecodeRow {
  id: string;
  past: number;
}
