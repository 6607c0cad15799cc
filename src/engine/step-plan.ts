import type { AbortStage } from './generation.ts';

/** What one step of a model is to do. Carried out from top to bottom. */
export interface StepPlan {
  /** Past a deadline: already out of the queue or their slot. */
  expired: readonly { id: string; stage: AbortStage }[];
  /** Left the queue for a slot. */
  started: readonly string[];
  /** Cache rows to copy first: `length` decoder positions and the encoder side. */
  moves: readonly { id: string; from: number; to: number; length: number }[];
  /** Prompts for the encoder, whole. */
  encodes: readonly { id: string; slot: number }[];
  /** Pieces of prompts for the decoder: tokens start..end-1. */
  chunks: readonly PrefillChunk[];
  /** Prompt tokens of encodes and chunks together. */
  prefillTokens: number;
  /** One token each; row i is slot i, with `past` positions filled before. */
  rows: readonly DecodeRow[];
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
