import type { AbortStage } from '../protocol/generation.ts';

/** What one step of a model does, carried out from top to bottom. */
export interface StepPlan {
  /** Requests past a deadline, already removed from the queue or their slot. */
  expired: readonly { id: string; stage: AbortStage }[];
  /** Requests that left the queue, for a slot or to be embedded in this step. */
  started: readonly string[];
  /** Cache rows to copy first: `length` decoder positions and the encoder side. `id` null: the request is done. */
  moves: readonly { id: string | null; from: number; to: number; length: number }[];
  /** Parts of prompts that need not be computed; copied from `from` if that is another slot. */
  reuses: readonly PrefixReuse[];
  /** Whole prompts for the encoder, whose mean state is the answer. They need no slot. */
  embeds: readonly string[];
  /** Whole prompts for the encoder. */
  encodes: readonly { id: string; slot: number }[];
  /** Pieces of prompts for the decoder: tokens start..end-1. */
  chunks: readonly PrefillChunk[];
  /** Prompt tokens of embeds, encodes and chunks together. */
  prefillTokens: number;
  /** One token each; row i is slot i, with `past` positions already filled. */
  rows: readonly DecodeRow[];
}

interface PrefixReuse {
  id: string;
  from: number;
  slot: number;
  /** Decoder positions to copy. */
  length: number;
  /** Prompt tokens that are reused. */
  tokens: number;
  /** Nothing of the prompt is left to compute. */
  isWhole: boolean;
}

export interface PrefillChunk {
  id: string;
  slot: number;
  start: number;
  end: number;
  /** This piece completes the prompt: its last row gives the first token. */
  isLast: boolean;
}

interface DecodeRow {
  id: string;
  past: number;
}
