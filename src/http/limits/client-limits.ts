import type { onRequestHookHandler } from 'fastify';
import type { Config } from '../../config/config.ts';
import type { Clock } from '../../engine/protocol/clock.ts';
import { ServiceError } from '../../errors.ts';
import type { Metrics } from '../../observability/metrics.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { Allowances } from './allowances.ts';

const concurrencyRetrySeconds = 1;

/** Limits each client's request rate and number of concurrent sequences. */
export class ClientLimits {
  readonly #limit: Config['rateLimit'];
  readonly #clock: Clock;
  readonly #allowances: Allowances | null;
  readonly #sequences = new Map<string, number>();

  constructor(limit: Config['rateLimit'], clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
    const requests = limit?.requests;
    this.#allowances = requests ? new Allowances(requests.count, requests.withinMs) : null;
  }

  /**
   * Counts a request.
   * @returns the limit and what is left of it, for the response headers; null without a rate limit
   * @throws ServiceError `rate_limited`, with the seconds until the next request is allowed
   */
  admit(client: string): { count: number; left: number } | null {
    const requests = this.#limit?.requests;
    if (!requests || !this.#allowances) return null;
    const { count, withinMs } = requests;
    const now = this.#clock();
    const left = this.#allowances.take(client, now);
    if (left !== null) return { count, left };
    throw new ServiceError(
      'rate_limited',
      `The client sent more than ${count} requests in ${withinMs / 1000} s.`,
      {
        retryAfterSeconds: this.#allowances.secondsToNext(client, now),
      },
    );
  }

  /**
   * Reserves `count` sequences.
   * @returns a function that releases them
   * @throws ServiceError `rate_limited` while the client has too many; `invalid_request` if `count` alone is too many
   */
  take(client: string, count: number): () => void {
    const maximum = this.#limit?.concurrent ?? null;
    if (maximum === null) return () => {};
    if (count > maximum) {
      throw invalidRequest(
        null,
        `The request needs ${count} sequences; a client may have at most ${maximum} at a time.`,
      );
    }
    const before = this.#sequences.get(client) ?? 0;
    if (before + count > maximum) {
      throw new ServiceError(
        'rate_limited',
        `This client already has ${before} sequences running or waiting; the maximum is ${maximum}.`,
        {
          retryAfterSeconds: concurrencyRetrySeconds,
        },
      );
    }
    this.#sequences.set(client, before + count);
    return () => {
      const left = this.#sequences.get(client)! - count;
      if (left > 0) this.#sequences.set(client, left);
      else this.#sequences.delete(client);
    };
  }
}

/** Refuses a client's requests above its rate and reports what is left in headers with OpenAI's names. */
export function limitRate(limits: ClientLimits, metrics: Pick<Metrics, 'rejected'>): onRequestHookHandler {
  return (request, reply, done) => {
    try {
      const allowance = limits.admit(request.life.client);
      if (allowance) {
        reply.header('x-ratelimit-limit-requests', allowance.count);
        reply.header('x-ratelimit-remaining-requests', allowance.left);
      }
      done();
    } catch (error) {
      metrics.rejected('', 'rate_limited', 1);
      done(error as Error);
    }
  };
}
