import type { GenerationRequest } from '../protocol/generation.ts';
import type { TimeBudget } from './step-times.ts';

/** Minimum budget, so that no prompt needs a chunk of one token, which gives slightly different numbers. */
const minPrefill = 3;

/**
 * Cost of a scored token (one with a log probability), in unscored tokens: it needs a row of logits, and its
 * alternatives are sorted and sent. A constant, so that a prompt is cut the same way whatever else the step computes.
 */
const scoredCost = 8;

type Cut = Pick<GenerationRequest, 'promptLogprobs' | 'isReproducible'>;

/** The part of a step that prompts may use, in unscored tokens. */
export interface PromptBudget {
  tokens: number;
  time: TimeBudget;
}

interface StepBudget {
  /** What is left of it, in unscored tokens. */
  budget: number;
  /** What the step's other chunks cost. */
  cost: number;
  prefillChunk: number;
}

/**
 * The part of a step that prompts may use. Sequences that decode wait for one chunk at most.
 * @param rows sequences of this model that decode in the step
 * @param othersDecode whether sequences of other models wait for the step to end
 */
export function promptBudget(
  rows: number,
  othersDecode: boolean,
  time: TimeBudget,
  { stepTokens, prefillChunk }: { stepTokens: number; prefillChunk: number },
): PromptBudget {
  const maximum = rows === 0 && !othersDecode ? stepTokens : Math.min(stepTokens - rows, prefillChunk);
  return { tokens: Math.max(minPrefill, maximum), time };
}

/**
 * What is left of a budget, in unscored tokens.
 * @param runs of chunks and of the encoder that the step has already, and the `cost` of all its prompts
 */
export function leftOf(
  { tokens, time }: PromptBudget,
  { runs, cost }: { runs: number; cost: number },
): number {
  return Math.min(tokens, time.tokens - runs * time.perChunk) - cost;
}

/** What `tokens` of a request cost, in unscored tokens. */
export const costOf = ({ promptLogprobs }: Cut, tokens: number): number =>
  promptLogprobs === null ? tokens : scoredCost * tokens;

/**
 * End of the chunk that begins at `start`; `start` itself if the step has no room for one.
 *
 * Attention computes a chunk in tiles; the order in which it rounds their products depends on where the chunk begins
 * and ends. So a reproducible prompt is only cut at multiples of `prefillChunk`, whatever else the step computes.
 * @param length tokens that the decoder is given
 */
export function chunkEnd(
  request: Cut,
  { start, length }: { start: number; length: number },
  { budget, cost, prefillChunk }: StepBudget,
): number {
  const isScored = request.promptLogprobs !== null;
  const chunk = isScored ? Math.max(minPrefill, Math.floor(prefillChunk / scoredCost)) : prefillChunk;
  const whole = Math.min(length, start + chunk);
  if (request.isReproducible || isScored) {
    return costOf(request, whole - start) <= budget || cost === 0 ? whole : start;
  }
  if (budget < minPrefill) return start;
  const end = Math.min(whole, start + budget);
  return length - end === 1 ? end - 1 : end;
}
