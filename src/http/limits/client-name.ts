import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import ipaddr from 'ipaddr.js';
import type { Clock } from '../../engine/protocol/clock.ts';
import { ServiceError } from '../../errors.ts';
import type { ServerConfig } from '../server-dependencies.ts';
import { Allowances } from './client-limits.ts';

/** How many wrong or missing keys an address may send. */
const refusals = { count: 20, withinMs: 60_000 };
/** Maximum number of remembered pairs of address and key. */
const maxProven = 10_000;

/** The client's address; behind trusted proxies, the one that they report. */
export function clientAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  // A proxy passes on what it received, which may not be an address.
  const address = ipaddr.isValid(ip) ? ip : (socket.remoteAddress ?? '');
  return ipaddr.isValid(address) ? ipaddr.process(address).toString() : 'unknown';
}

/** The address; for IPv6 only the network half, because the client can choose the other half freely. */
function networkOf(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return `address ${address}`;
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${address.replace(/%.*/, '')}/64`);
  return `address ${network}/64`;
}

/**
 * Slows down guessing of keys. After many wrong keys, an address may only use keys that it has used before. So a guess
 * reveals nothing, and clients behind a shared address keep working.
 */
class Guesses {
  readonly #clock: Clock;
  readonly #left = new Allowances(refusals.count, refusals.withinMs);
  /** Least recently used first. */
  readonly #proven = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param key the key's name; null if unknown. @throws ServiceError `rate_limited` */
  check(network: string, key: string | null): void {
    const now = this.#clock();
    const pair = `${key} ${network}`;
    const isAllowed =
      key === null
        ? this.#left.take(network, now) !== null
        : this.#proven.delete(pair) || this.#left.left(network, now) >= 1;
    if (!isAllowed) {
      throw new ServiceError('rate_limited', 'Too many wrong or missing API keys came from this address.', {
        retryAfterSeconds: this.#left.secondsToNext(network, now),
      });
    }
    if (key === null) return;
    this.#proven.add(pair);
    if (this.#proven.size > maxProven) this.#proven.delete(this.#proven.keys().next().value!);
  }
}

/**
 * The key of a request, from `Authorization: Bearer <key>` or `X-API-Key: <key>`.
 * @returns undefined if it has none; null if the two headers hold different keys, because one of them is a mistake
 */
function givenKey({
  authorization,
  'x-api-key': header,
}: FastifyRequest['headers']): string | null | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  const own = typeof header === 'string' ? header.trim() || undefined : undefined;
  return bearer !== undefined && own !== undefined && bearer !== own ? null : (bearer ?? own);
}

function keyProblem(key: string | null | undefined): string {
  if (key === null) return 'The headers Authorization and X-API-Key hold different keys; send one of them.';
  return key === undefined
    ? 'An API key is needed: send the header Authorization: Bearer <key>, or X-API-Key: <key>.'
    : 'This API key is not known.';
}

/** Identifies the client: by its API key if keys are set, else by its address. Refuses a missing or unknown key. */
export function nameClient({ apiKeys }: Pick<ServerConfig, 'apiKeys'>, clock: Clock): onRequestHookHandler {
  const guesses = new Guesses(clock);
  return (request, reply, done) => {
    const { life } = request;
    const network = networkOf(life.address);
    if (apiKeys.isOpen) {
      life.client = network;
      done();
      return;
    }
    const key = givenKey(request.headers);
    const name = apiKeys.nameOf(key ?? '');
    try {
      guesses.check(network, name);
    } catch (error) {
      done(error as ServiceError);
      return;
    }
    if (name !== null) {
      life.client = name;
      life.keyName = name;
      done();
      return;
    }
    reply.header('www-authenticate', 'Bearer');
    done(new ServiceError('unauthorized', keyProblem(key)));
  };
}
