import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import type { Config } from '../../config/config.ts';
import type { Clock } from '../../engine/protocol/clock.ts';
import type { EngineRequest } from '../../engine/protocol/generation.ts';
import { ServiceError } from '../../errors.ts';
import type { Metrics } from '../../observability/metrics.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import type { App, ServerConfig } from '../server-dependencies.ts';

/** What one name has left. It refills steadily, up to the whole count. */
interface Allowance {
  left: number;
  /** When `left` was true, in milliseconds. */
  at: number;
}

/** Bounds the memory: beyond this many names, the one that took longest ago is forgotten. */
const maxKnown = 10_000;

/** A rate limit per name: `count` at once, then one at a time as the allowance refills. */
export class Allowances {
  readonly #count: number;
  readonly #withinMs: number;
  /** The name that took longest ago comes first. */
  readonly #allowances = new Map<string, Allowance>();

  constructor(count: number, withinMs: number) {
    this.#count = count;
    this.#withinMs = withinMs;
  }

  /** May be a fraction. Below 1, nothing can be taken. */
  left(name: string, now: number): number {
    const before = this.#allowances.get(name);
    if (!before) return this.#count;
    return Math.min(this.#count, before.left + ((now - before.at) * this.#count) / this.#withinMs);
  }

  /** Takes one. @returns what is left; null if there was none to take */
  take(name: string, now: number): number | null {
    const left = this.left(name, now);
    if (left < 1) return null;
    this.#allowances.delete(name);
    this.#allowances.set(name, { left: left - 1, at: now });
    if (this.#allowances.size > maxKnown) this.#allowances.delete(this.#allowances.keys().next().value!);
    return Math.floor(left - 1);
  }

  /** The wait until one can be taken. */
  secondsToNext(name: string, now: number): number {
    return ((1 - this.left(name, now)) * this.#withinMs) / this.#count / 1000;
  }
}

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
   * Reserves sequences for the requests of one client to one model, and counts a refusal.
   * @returns a function that releases them
   * @throws ServiceError as `take`
   */
  takeFor(
    requests: readonly Pick<EngineRequest, 'client' | 'model'>[],
    metrics: Pick<Metrics, 'rejected'>,
  ): () => void {
    const [first] = requests;
    try {
      return this.take(first!.client, requests.length);
    } catch (error) {
      metrics.rejected(first!.model, (error as ServiceError).code, requests.length);
      throw error;
    }
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

/** Maximum number of full-size bodies that may be arriving at once. */
const maxLargest = 64;
const bodyRetrySeconds = 1;

/** Bytes to reserve for a body until it is read. A body that does not state its length reserves the whole limit. */
function announcedBytes({ headers }: FastifyRequest, bodyLimit: number): number {
  const length = Number(headers['content-length'] ?? (headers['transfer-encoding'] ? bodyLimit : 0));
  // A larger body is refused before any of it is read.
  return length > bodyLimit ? 0 : length;
}

/**
 * Bounds the memory of bodies that are still arriving: a client may send a thousand at once and hold back the last byte
 * of each. A client may hold at most as much as is still free, so heavy users do not lock out the others.
 */
export function boundBodies(
  app: App,
  { bodyLimit }: Pick<ServerConfig, 'bodyLimit'>,
  metrics: Pick<Metrics, 'rejected'>,
): void {
  const heldBy = new Map<string, number>();
  const releases = new WeakMap<FastifyRequest, () => void>();
  let free = maxLargest * bodyLimit;

  app.addHook('preParsing', (request, reply, payload, done) => {
    const bytes = announcedBytes(request, bodyLimit);
    const { client } = request.life;
    const held = heldBy.get(client) ?? 0;
    if (bytes > 0 && held + bytes > free) {
      metrics.rejected('', 'queue_full', 1);
      const message = `Request bodies of ${held} bytes from this client are still arriving; send fewer at a time.`;
      done(new ServiceError('queue_full', message, { retryAfterSeconds: bodyRetrySeconds }));
      return;
    }
    free -= bytes;
    heldBy.set(client, held + bytes);
    const release = () => {
      if (!releases.delete(request)) return;
      free += bytes;
      const left = heldBy.get(client)! - bytes;
      if (left > 0) heldBy.set(client, left);
      else heldBy.delete(client);
    };
    releases.set(request, release);
    reply.raw.once('close', release);
    done(null, payload);
  });
  app.addHook('preValidation', (request, _, done) => {
    releases.get(request)?.();
    done();
  });
}
