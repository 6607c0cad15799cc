import { createHash } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import type { Clock } from '../protocol/clock.ts';
import { type GenerationRequest, promptLength } from '../protocol/generation.ts';
import { type QueueAmount, QueueBound, type Refusal } from './queue-bound.ts';

export interface AdmissionLimits {
  maxQueuedRequests: number;
  maxQueuedTokens: number;
  /** Percent of both that one client may hold alone. */
  clientQueueShare: number;
}

type Arriving = Pick<GenerationRequest, 'promptTokens' | 'completionPrefix' | 'client'>;

const keptPart = ', of which a part is kept for those who were told to come back';

/** What one client may hold of an empty queue: a request for more is never admitted. */
export function clientQueueLimit(limits: AdmissionLimits): QueueAmount {
  const share = (limit: number) => Math.max(1, Math.floor((limit * limits.clientQueueShare) / 100));
  return { requests: share(limits.maxQueuedRequests), tokens: share(limits.maxQueuedTokens) };
}

/**
 * Bounds what waits for a slot, in requests and in prompt tokens. Checking and reserving is one synchronous step, so a
 * burst cannot slip in between.
 *
 * A client that has requests waiting may add to them in proportion to what is free (dynamic thresholds, Choudhury and
 * Hahne 1998): up to its whole share while it is alone, less beside others. Over that bound it waits for its own requests
 * only: nobody else is told to come back later because of it. The exception is a full queue in which it holds no more
 * than an equal part.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #clock: Clock;
  readonly #all: QueueBound;
  readonly #clients = new Map<string, QueueBound>();

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    const { maxQueuedRequests: requests, maxQueuedTokens: tokens } = limits;
    this.#all = new QueueBound({ requests, tokens }, clock);
  }

  get queuedRequests(): number {
    return this.#all.held.requests;
  }

  get queuedTokens(): number {
    return this.#all.held.tokens;
  }

  /**
   * Takes room for all of `requests`, which are one client's, or for none.
   * @throws ServiceError queue_full, with the seconds after which there should be room
   */
  reserve(requests: readonly Arriving[]): void {
    const name = requests[0]?.client ?? '';
    const client = this.#clients.get(name) ?? this.#newClient();
    const asked = { requests: requests.length, tokens: tokensOf(requests) };
    const excess = {
      requests: this.queuedRequests + asked.requests - this.#limits.maxQueuedRequests,
      tokens: this.queuedTokens + asked.tokens - this.#limits.maxQueuedTokens,
    };
    const key = turnKey(requests);
    const beyondShare = this.#beyondShare(client.held, asked, excess);
    const isFull = excess.requests > 0 || excess.tokens > 0;
    if (beyondShare && !(isFull && this.#isWithinEqualPart(client.held, asked))) {
      const refused = client.refusal(key, asked, beyondShare);
      if (refused) throw this.#clientIsOver(client.held, refused);
    }
    const refused = this.#all.refusal(key, asked, excess);
    if (refused) throw this.#queueIsFull(refused);
    this.#clients.set(name, client);
    client.add(asked);
    this.#all.add(asked);
  }

  /** One that was reserved has got a slot, or was given up while it waited. */
  leave(request: Arriving): void {
    const { client } = request;
    const tokens = promptLength(request);
    const own = this.#clients.get(client);
    own?.leave(tokens);
    if (own?.held.requests === 0) this.#clients.delete(client);
    this.#all.leave(tokens);
  }

  #newClient(): QueueBound {
    return new QueueBound(clientQueueLimit(this.#limits), this.#clock, this.#all);
  }

  /** The part each client would have, with one more that may come. */
  #isWithinEqualPart(held: QueueAmount, asked: QueueAmount): boolean {
    const { maxQueuedRequests, maxQueuedTokens } = this.#limits;
    const parts = this.#clients.size + 1;
    return (
      (held.requests + asked.requests) * parts <= maxQueuedRequests &&
      (held.tokens + asked.tokens) * parts <= maxQueuedTokens
    );
  }

  /**
   * held + asked ≤ share / (1 − share) × free, solved for what has to leave of the client's own.
   * @returns null where there is no such bound
   */
  #beyondShare(held: QueueAmount, asked: QueueAmount, excess: QueueAmount): QueueAmount | null {
    const percent = this.#limits.clientQueueShare;
    if (held.requests === 0 || percent === 100) return null;
    const toLeave = (own: number, beyond: number) =>
      Math.ceil(((100 - percent) * own + percent * beyond) / 100);
    return {
      requests: toLeave(held.requests + asked.requests, excess.requests),
      tokens: toLeave(held.tokens + asked.tokens, excess.tokens),
    };
  }

  #clientIsOver({ requests, tokens }: QueueAmount, { retryAfterSeconds, isKept }: Refusal): ServiceError {
    return new ServiceError(
      'queue_full',
      `${requests} requests of this client with ${tokens} prompt tokens are waiting; one client may hold ` +
        `${this.#limits.clientQueueShare} % of the queue, and less while others wait${isKept ? keptPart : ''}.`,
      { retryAfterSeconds },
    );
  }

  #queueIsFull({ retryAfterSeconds, isKept }: Refusal): ServiceError {
    const { maxQueuedRequests, maxQueuedTokens } = this.#limits;
    return new ServiceError(
      'queue_full',
      `${this.queuedRequests} requests with ${this.queuedTokens} prompt tokens are waiting; ` +
        `at most ${maxQueuedRequests} with ${maxQueuedTokens} may${isKept ? keptPart : ''}.`,
      { retryAfterSeconds },
    );
  }
}

function tokensOf(requests: readonly Arriving[]): number {
  return requests.reduce((sum, request) => sum + promptLength(request), 0);
}

/** Short, however long the prompt. */
function turnKey(requests: readonly Arriving[]): string {
  const [first] = requests;
  const hash = createHash('sha256').update(`${requests.length} ${first?.client}\0`);
  return hash.update(Int32Array.from(first?.promptTokens ?? [])).digest('base64');
}
