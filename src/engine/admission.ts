import { createHash } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import type { Clock } from './clock.ts';
import { DrainRate } from './drain-rate.ts';
import type { GenerationRequest } from './generation.ts';
import { KeptTurns } from './kept-turns.ts';

export interface AdmissionLimits {
  maxQueuedRequests: number;
  maxQueuedTokens: number;
}

type Queued = Pick<GenerationRequest, 'promptTokens'>;
type Arriving = Pick<GenerationRequest, 'promptTokens' | 'client'>;

/** `unknown`: nothing has left the queue yet. */
const retrySeconds = { shortest: 1, unknown: 5, longest: 3600 };
/** Of the rate at which the queue drains, what those who come back are given; new requests take their part. */
const shareOfReturning = 0.8;
/** Of the queue, what is kept for those who come back when they were told, while any are expected. */
const shareKept = 0.25;

/**
 * Bounds what waits for a slot, in requests and in prompt tokens. Checking and reserving is one synchronous step, so a
 * burst cannot slip in between. Those who are refused are told to come back one after another, at the rate at which
 * there will be room: told the same time, they would come together and be refused again. Those who then come are known
 * by their client and prompt, and have a part of the queue to themselves: the overload may not be over.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #clock: Clock;
  readonly #requestRate: DrainRate;
  readonly #tokenRate: DrainRate;
  readonly #turns = new KeptTurns();
  #queuedRequests = 0;
  #queuedTokens = 0;
  /** Milliseconds in which something waited, up to #measuredAt: an empty queue says nothing about its speed. */
  #busyMs = 0;
  #measuredAt: number;
  /** Until then, those who were refused before are expected back. */
  #returnsUntil: number;

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#requestRate = new DrainRate(0);
    this.#tokenRate = new DrainRate(0);
    this.#measuredAt = clock();
    this.#returnsUntil = this.#measuredAt;
  }

  get queuedRequests(): number {
    return this.#queuedRequests;
  }

  get queuedTokens(): number {
    return this.#queuedTokens;
  }

  /**
   * Takes room for all of `requests`, which are one client's, or for none.
   * @throws ServiceError queue_full, with the seconds after which there should be room
   */
  reserve(requests: readonly Arriving[]): void {
    const busyMs = this.#measureBusy();
    const now = this.#measuredAt;
    const tokens = tokensOf(requests);
    const { maxQueuedRequests, maxQueuedTokens } = this.#limits;
    const excessRequests = this.#queuedRequests + requests.length - maxQueuedRequests;
    const excessTokens = this.#queuedTokens + tokens - maxQueuedTokens;
    const isUnexpected = !this.#turns.isEmpty(now) && !this.#turns.take(turnKey(requests), now);
    const kept = (most: number) => (isUnexpected ? Math.floor(most * shareKept) : 0);
    if (excessRequests + kept(maxQueuedRequests) > 0 || excessTokens + kept(maxQueuedTokens) > 0) {
      const at = this.#timeOfReturn(requests, excessRequests, excessTokens, busyMs);
      this.#turns.add(turnKey(requests), at);
      throw new ServiceError(
        'queue_full',
        `${this.#queuedRequests} requests with ${this.#queuedTokens} prompt tokens are waiting; ` +
          `at most ${maxQueuedRequests} with ${maxQueuedTokens} may` +
          `${isUnexpected ? ', of which a part is kept for those who were told to come back' : ''}.`,
        { retryAfterSeconds: Math.max(retrySeconds.shortest, Math.ceil((at - now) / 1000)) },
      );
    }
    this.#queuedRequests += requests.length;
    this.#queuedTokens += tokens;
  }

  /** One that was reserved has got a slot, or was given up while it waited. */
  leave(request: Queued): void {
    const busyMs = this.#measureBusy();
    this.#queuedRequests -= 1;
    this.#queuedTokens -= request.promptTokens.length;
    this.#requestRate.record(1, busyMs);
    this.#tokenRate.record(request.promptTokens.length, busyMs);
  }

  #measureBusy(): number {
    const now = this.#clock();
    if (this.#queuedRequests > 0) this.#busyMs += now - this.#measuredAt;
    this.#measuredAt = now;
    return this.#busyMs;
  }

  /** On the clock, within bounds: when the excess has left, and those who were refused before have had their turn. */
  #timeOfReturn(
    requests: readonly Queued[],
    excessRequests: number,
    excessTokens: number,
    busyMs: number,
  ): number {
    const now = this.#measuredAt;
    const room = now + 1000 * this.#secondsToDrain(excessRequests, excessTokens, busyMs);
    const at = Math.min(Math.max(room, this.#returnsUntil), now + 1000 * retrySeconds.longest);
    const turnSeconds = this.#secondsToDrain(requests.length, tokensOf(requests), busyMs) / shareOfReturning;
    this.#returnsUntil = at + 1000 * turnSeconds;
    return at;
  }

  #secondsToDrain(requests: number, tokens: number, busyMs: number): number {
    return Math.max(
      secondsToDrain(requests, this.#requestRate.perSecond(busyMs)),
      secondsToDrain(tokens, this.#tokenRate.perSecond(busyMs)),
    );
  }
}

function secondsToDrain(excess: number, perSecond: number | null): number {
  if (excess <= 0) return 0;
  return perSecond === null ? retrySeconds.unknown : excess / perSecond;
}

function tokensOf(requests: readonly Queued[]): number {
  return requests.reduce((sum, { promptTokens }) => sum + promptTokens.length, 0);
}

/** Short, however long the prompt. */
function turnKey(requests: readonly Arriving[]): string {
  const [first] = requests;
  const hash = createHash('sha256').update(`${requests.length} ${first?.client}\0`);
  return hash.update(Int32Array.from(first?.promptTokens ?? [])).digest('base64');
}
