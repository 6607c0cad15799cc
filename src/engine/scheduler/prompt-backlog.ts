import { promptLength } from '../protocol/generation.ts';
import type { RunningSequence, Schedulable } from './prefill-planner.ts';
import type { SlotContents } from './slot-contents.ts';

interface Waiting {
  request: Schedulable;
  /** Tokens of its prompt that no slot held when we last looked. */
  tokens: number;
}

/** Counts the prompt tokens that are still to be computed, without those that a slot holds already. */
export class PromptBacklog {
  readonly #contents: SlotContents;
  /** Waiting requests by id, the least recently visited first. */
  readonly #waiting = new Map<string, Waiting>();

  constructor(contents: SlotContents) {
    this.#contents = contents;
  }

  /** Records that a request waits for a slot. */
  add(request: Schedulable): void {
    const shared = request.task === 'embed' ? null : this.#contents.find(request);
    this.#waiting.set(request.id, { request, tokens: promptLength(request) - (shared?.length ?? 0) });
  }

  /** Records that a request no longer waits. */
  remove(id: string): void {
    this.#waiting.delete(id);
  }

  /** Looks again at one of the waiting prompts: to compare all of them with all slots at each step takes too long. */
  lookAgain(): void {
    const [first] = this.#waiting.values();
    if (!first) return;
    this.remove(first.request.id);
    this.add(first.request);
  }

  /** @param holders requests that hold a slot */
  tokens(holders: Iterable<RunningSequence>): number {
    let tokens = 0;
    for (const waiting of this.#waiting.values()) tokens += waiting.tokens;
    for (const { request, stage, isEncoded, filled, shared } of holders) {
      if (stage !== 'prefill') continue;
      const done = (isEncoded ? request.promptTokens.length : 0) + filled;
      tokens += Math.max(0, promptLength(request) - Math.max(done, shared?.length ?? 0));
    }
    return tokens;
  }
}
