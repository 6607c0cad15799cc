import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import ipaddr from 'ipaddr.js';
import type { Clock } from '../../engine/protocol/clock.ts';
import { ServiceError } from '../../errors.ts';
import type { ServerConfig } from '../server-dependencies.ts';
import { Allowances } from './allowances.ts';

/** Refused keys that an address may send. */
const refusals = { count: 20, withinMs: 60_000 };
/** Pairs of address and key that are remembered. */
const maxProven = 10_000;

/** The client's address, behind trusted proxies the one they report. */
export function clientAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  // A proxy passes on what it was sent, which may be no address.
  const address = ipaddr.isValid(ip) ? ip : (socket.remoteAddress ?? '');
  return ipaddr.isValid(address) ? ipaddr.process(address).toString() : 'unknown';
}

/** An address, of IPv6 the half that names the network: the other half is the client's own to choose. */
function networkOf(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return `address ${address}`;
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${address.replace(/%.*/, '')}/64`);
  return `address ${network}/64`;
}

/**
 * Slows down who guesses keys. An address that sent many wrong ones is refused with every key but those that it has used
 * before, so that a guess tells nothing and the clients behind a shared address go on.
 */
class Guesses {
  readonly #clock: Clock;
  readonly #left = new Allowances(refusals.count, refusals.withinMs);
  /** In the order in which they were last used. */
  readonly #proven = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param key its name; null: not known. @throws ServiceError `rate_limited` */
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

/** Finds out whose a request is: by its API key where keys are set, else by its address. Refuses it without a known key. */
export function nameClient({ apiKeys }: Pick<ServerConfig, 'apiKeys'>, clock: Clock): onRequestHookHandler {
  const guesses = new Guesses(clock);
  return (request, reply, done) => {
    const { context } = request;
    const network = networkOf(context.address);
    if (apiKeys.isOpen) {
      context.client = network;
      done();
      return;
    }
    const key = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    const name = apiKeys.nameOf(key ?? '');
    try {
      guesses.check(network, name);
    } catch (error) {
      done(error as ServiceError);
      return;
    }
    if (name !== null) {
      context.client = name;
      context.keyName = name;
      done();
      return;
    }
    reply.header('www-authenticate', 'Bearer');
    const message =
      key === undefined
        ? 'An API key is needed: send the header Authorization: Bearer <key>.'
        : 'This API key is not known.';
    done(new ServiceError('unauthorized', message));
  };
}
