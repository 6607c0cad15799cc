import { ServiceError } from '../errors.ts';
import type { Clock } from './clock.ts';
import { DrainRate } from './drain-rate.ts';
import type { GenerationRequest } from './generation.ts';

export interface AdmissionLimits {
  maxQueuedRequests: number;
  maxQueuedTokens: number;
}

type Queued = Pick<GenerationRequest, 'promptTokens'>;

/** `unknown`: nothing has left the queue yet. */
const retrySeconds = { shortest: 1, unknown: 5, longest: 60 };

/**
 * Bounds what waits for a slot, in requests and in prompt tokens. Checking and reserving is one synchronous step, so a
 * burst cannot slip in between.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #clock: Clock;
  readonly #requestRate: DrainRate;
  readonly #tokenRate: DrainRate;
  #queuedRequests = 0;
  #queuedTokens = 0;
  /** Milliseconds in which something waited, up to #measuredAt: an empty queue says nothing about its speed. */
  #busyMs = 0;
  #measuredAt: number;

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#requestRate = new DrainRate(0);
    this.#tokenRate = new DrainRate(0);
    this.#measuredAt = clock();
  }

  get queuedRequests(): number {
    return this.#queuedRequests;
  }

  get queuedTokens(): number {
    return this.#queuedTokens;
  }

  /**
   * Takes room for all of `requests` or for none.
   * @throws ServiceError queue_full, with the seconds after which there should be room
   */
  reserve(requests: readonly Queued[]): void {
    const busyMs = this.#measureBusy();
    const tokens = tokensOf(requests);
    const { maxQueuedRequests, maxQueuedTokens } = this.#limits;
    const excessRequests = this.#queuedRequests + requests.length - maxQueuedRequests;
    const excessTokens = this.#queuedTokens + tokens - maxQueuedTokens;
    if (excessRequests > 0 || excessTokens > 0) {
      throw new ServiceError(
        'queue_full',
        `${this.#queuedRequests} requests with ${this.#queuedTokens} prompt tokens are waiting; ` +
          `at most ${maxQueuedRequests} with ${maxQueuedTokens} may.`,
        { retryAfterSeconds: this.#secondsUntilRoom(excessRequests, excessTokens, busyMs) },
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

  /** Whole, within bounds: the time in which the excess leaves at the rate measured. */
  #secondsUntilRoom(excessRequests: number, excessTokens: number, busyMs: number): number {
    const seconds = Math.max(
      secondsToDrain(excessRequests, this.#requestRate.perSecond(busyMs)),
      secondsToDrain(excessTokens, this.#tokenRate.perSecond(busyMs)),
    );
    return Math.min(retrySeconds.longest, Math.max(retrySeconds.shortest, Math.ceil(seconds)));
  }
}

function secondsToDrain(excess: number, perSecond: number | null): number {
  if (excess <= 0) return 0;
  return perSecond === null ? retrySeconds.unknown : excess / perSecond;
}

function tokensOf(requests: readonly Queued[]): number {
  return requests.reduce((sum, { promptTokens }) => sum + promptTokens.length, 0);
}
