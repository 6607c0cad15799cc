import type { ServiceCurve } from './service-curve.ts';

/** A prompt of a conversation, which begins with a text that other conversations share. */
export interface Prompt {
  tokens: number;
  conversation: number;
  /** Identifies the common beginning. */
  beginning: number;
  /** Tokens of the common beginning. */
  common: number;
}

export interface Arrival {
  atMs: number;
  /** Tokens to generate. */
  tokens: number;
  /** Without one, a request takes no time before its first token's step. */
  prompt?: Prompt;
}

export interface Served {
  /** From arrival to a slot. */
  waitMs: number;
  /** From arrival to the first token. */
  firstTokenMs: number;
  /** From arrival to the last token. */
  totalMs: number;
  /** Tokens of the prompt that an earlier one had left. */
  cached: number;
}

/** What steps take on a processor of its own. */
export interface Costs {
  curve: ServiceCurve;
  /** Milliseconds that a token of a prompt takes. */
  promptMs?: number;
  /** Prompts lengthen a step to at most this multiple of what its generating sequences take. */
  stretch?: number;
  /** Milliseconds of a step that has only prompts. */
  stepMs?: number;
}

interface Sequence {
  arrival: Arrival;
  waitMs: number;
  cached: number;
  promptLeft: number;
  firstTokenMs: number;
  tokensLeft: number;
}

interface Slot {
  sequence: Sequence | undefined;
  /** The last prompt, with what was generated. */
  holds: (Prompt & { usedMs: number }) | undefined;
}

/**
 * One instance as a queue: each step gives every generating sequence a token and computes a part of the oldest prompt. Free
 * slots are filled between steps. They keep what they held, which later prompts reuse.
 */
export class SimulatedInstance {
  readonly #costs: Costs;
  readonly #onServed: (served: Served, arrival: Arrival) => void;
  readonly #waiting: Arrival[] = [];
  readonly #slots: Slot[];
  #promptTokens = 0;
  /** Milliseconds left of the current step on a processor of its own; undefined when idle. */
  leftMs: number | undefined;
  /** Share of the current step's time that goes to prompts. */
  promptShare = 0;

  constructor(slots: number, costs: Costs, onServed: (served: Served, arrival: Arrival) => void) {
    this.#costs = costs;
    this.#onServed = onServed;
    this.#slots = Array.from({ length: slots }, () => ({ sequence: undefined, holds: undefined }));
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get inProgress(): number {
    return this.#waiting.length + this.#sequences.length;
  }

  get #sequences(): Sequence[] {
    return this.#slots.flatMap(({ sequence }) => sequence ?? []);
  }

  /** Tokens of the prompt that some slot has. */
  reusable(prompt: Prompt): number {
    return Math.max(...this.#slots.map((slot) => common(slot, prompt)));
  }

  take(arrival: Arrival): void {
    this.#waiting.push(arrival);
  }

  /** Ends the step under way. */
  endStep(nowMs: number): void {
    let computed = this.#promptTokens;
    for (const slot of this.#slots) {
      const { sequence } = slot;
      if (!sequence) continue;
      if (sequence.promptLeft > 0) {
        const part = Math.min(computed, sequence.promptLeft);
        computed -= part;
        sequence.promptLeft -= part;
        if (sequence.promptLeft > 0 || part === 0) continue;
      }
      if (sequence.tokensLeft === sequence.arrival.tokens)
        sequence.firstTokenMs = nowMs - sequence.arrival.atMs;
      sequence.tokensLeft -= 1;
      if (sequence.tokensLeft > 0) continue;
      const { arrival, waitMs, firstTokenMs, cached } = sequence;
      slot.sequence = undefined;
      if (slot.holds) {
        slot.holds.tokens += arrival.tokens;
        slot.holds.usedMs = nowMs;
      }
      this.#onServed({ waitMs, firstTokenMs, totalMs: nowMs - arrival.atMs, cached }, arrival);
    }
    this.leftMs = undefined;
  }

  /** Fills free slots and begins a step, if it is idle and has anything to do. */
  beginStep(nowMs: number): void {
    if (this.leftMs !== undefined) return;
    while (this.#waiting.length > 0 && this.#slots.some(({ sequence }) => !sequence))
      this.#place(this.#waiting.shift()!, nowMs);
    const sequences = this.#sequences;
    if (sequences.length === 0) return;
    const { curve, promptMs = 0, stretch = 1, stepMs = 0 } = this.#costs;
    const generating = sequences.filter(({ promptLeft }) => promptLeft === 0).length;
    const generatingMs = generating > 0 ? curve(generating) : 0;
    const promptLeft = sequences.reduce((sum, each) => sum + each.promptLeft, 0);
    const most =
      generating > 0 ? Math.max(minTokens, ((stretch - 1) * generatingMs) / promptMs) : stepMs / promptMs;
    this.#promptTokens = Math.min(promptLeft, Math.ceil(most || 0));
    this.leftMs = generatingMs + this.#promptTokens * promptMs;
    this.promptShare = 1 - generatingMs / this.leftMs;
  }

  #place(arrival: Arrival, nowMs: number): void {
    const { prompt, tokens } = arrival;
    const cached = prompt ? Math.min(this.reusable(prompt), prompt.tokens - 1) : 0;
    const free = this.#slots.filter(({ sequence }) => !sequence);
    const age = ({ holds }: Slot) => holds?.usedMs ?? -1;
    const own = free.find(({ holds }) => prompt && holds?.conversation === prompt.conversation);
    const slot = own ?? free.reduce((oldest, each) => (age(each) < age(oldest) ? each : oldest));
    slot.holds = prompt && { ...prompt, usedMs: nowMs };
    const promptLeft = prompt ? prompt.tokens - cached : 0;
    const waitMs = nowMs - arrival.atMs;
    slot.sequence = { arrival, waitMs, cached, promptLeft, firstTokenMs: 0, tokensLeft: tokens };
  }
}

/** A step computes at least so many tokens of prompts. */
const minTokens = 8;

function common({ holds, sequence }: Slot, prompt: Prompt): number {
  if (!holds) return 0;
  const computed = holds.tokens - (sequence?.promptLeft ?? 0);
  if (holds.conversation === prompt.conversation) return Math.min(computed, prompt.tokens);
  return holds.beginning === prompt.beginning ? Math.min(computed, prompt.common) : 0;
}
