import { createHash } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import type { Clock } from '../protocol/clock.ts';
import { type EngineRequest, type GivenTokens, promptLength } from '../protocol/generation.ts';
import { type QueueAmount, QueueBound, type Refusal } from './queue-bound.ts';

export interface AdmissionLimits {
  maxQueuedRequests: number;
  maxQueuedTokens: number;
  /** Maximum percent of both that one client may hold, reached only while it is alone. */
  clientQueueShare: number;
}

type Arriving = GivenTokens & Pick<EngineRequest, 'client'>;

const keptPart = ', partly reserved for clients that return on time';

/** Maximum that one client may hold of an empty queue; a request for more is never admitted. */
export function clientQueueLimit(limits: AdmissionLimits): QueueAmount {
  const share = (limit: number) => Math.max(1, Math.floor((limit * limits.clientQueueShare) / 100));
  return { requests: share(limits.maxQueuedRequests), tokens: share(limits.maxQueuedTokens) };
}

/**
 * Limits what waits for a slot, in requests and in prompt tokens. Checks and reserves in one synchronous step, so that
 * a burst cannot slip in between.
 *
 * A client with waiting requests may add more in proportion to the free part of the queue (dynamic thresholds,
 * Choudhury and Hahne 1998): up to its whole share while it is alone, less while others wait. Over that limit it
 * waits only for its own requests and does not postpone the return of other clients. The exception is a full queue in
 * which it holds no more than an equal part.
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
   * Reserves room for all of `requests`, which come from one client, or for none.
   * @throws ServiceError queue_full, with the seconds until there should be room
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

  /** Frees the room of a request that got a slot or was given up while it waited. */
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

  /** Whether the client stays within an equal part, counted with one more client that may come. */
  #isWithinEqualPart(held: QueueAmount, asked: QueueAmount): boolean {
    const { maxQueuedRequests, maxQueuedTokens } = this.#limits;
    const parts = this.#clients.size + 1;
    return (
      (held.requests + asked.requests) * parts <= maxQueuedRequests &&
      (held.tokens + asked.tokens) * parts <= maxQueuedTokens
    );
  }

  /**
   * Solves held + asked ≤ share / (1 − share) × free for the amount of the client's own that must leave first.
   * @returns null when there is no such bound
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
      `${requests} requests of this client with ${tokens} prompt tokens are waiting; one client may hold at most ` +
        `${this.#limits.clientQueueShare} % of the queue, less while others wait${isKept ? keptPart : ''}.`,
      { retryAfterSeconds },
    );
  }

  #queueIsFull({ retryAfterSeconds, isKept }: Refusal): ServiceError {
    const { maxQueuedRequests, maxQueuedTokens } = this.#limits;
    return new ServiceError(
      'queue_full',
      `${this.queuedRequests} requests with ${this.queuedTokens} prompt tokens are waiting; ` +
        `the queue holds at most ${maxQueuedRequests} with ${maxQueuedTokens}${isKept ? keptPart : ''}.`,
      { retryAfterSeconds },
    );
  }
}

function tokensOf(requests: readonly Arriving[]): number {
  return requests.reduce((sum, request) => sum + promptLength(request), 0);
}

/** A hash, so that the key is short for a long prompt too. */
function turnKey(requests: readonly Arriving[]): string {
  const [first] = requests;
  const hash = createHash('sha256').update(`${requests.length} ${first?.client}\0`);
  for (const tokens of [first?.promptTokens, first?.completionPrefix]) {
    hash.update(Int32Array.from(tokens ?? [])).update('\0');
  }
  return hash.digest('base64');
}
