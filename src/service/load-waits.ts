import { type AdmissionLimits, clientQueueLimit } from '../engine/client/admission.ts';
import { ServiceError } from '../errors.ts';
import type { ModelAsker } from '../http/server-dependencies.ts';
import type { Metrics } from '../observability/metrics.ts';

interface Waiter {
  readonly model: string;
  readonly client: string;
  admit(leave: () => void): void;
  refuse(error: unknown): void;
}

/** The requests that wait for their models to be loaded. No more than may wait for a slot, in all and of one client. */
export class LoadWaits {
  readonly #limits: AdmissionLimits;
  readonly #metrics: Pick<Metrics, 'loadWaiting' | 'rejected'>;
  readonly #waiters = new Set<Waiter>();

  constructor(limits: AdmissionLimits, metrics: Pick<Metrics, 'loadWaiting' | 'rejected'>) {
    this.#limits = limits;
    this.#metrics = metrics;
  }

  /** @throws ServiceError `queue_full` */
  requirePlace(model: string, client: string, retryAfterSeconds: number): void {
    const all = [...this.#waiters];
    const own = all.filter((waiter) => waiter.client === client);
    const limits = this.#limits;
    if (all.length < limits.maxQueuedRequests && own.length < clientQueueLimit(limits).requests) return;
    this.#metrics.rejected(model, 'queue_full', 1);
    throw new ServiceError(
      'queue_full',
      `${all.length} requests, ${own.length} of them from this client, are waiting for models to be loaded.`,
      { retryAfterSeconds },
    );
  }

  /**
   * Resolves with what `admit` gives; rejects when the request is refused or its client has left.
   * @param late makes the refusal after `waitMs`
   */
  wait(
    model: string,
    { client, signal }: ModelAsker,
    waitMs: number,
    late: () => Error,
  ): Promise<() => void> {
    const { promise, resolve, reject } = Promise.withResolvers<() => void>();
    const end = () => {
      this.#waiters.delete(waiter);
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#metrics.loadWaiting(model, -1);
    };
    const waiter: Waiter = {
      model,
      client,
      admit: (leave) => {
        end();
        resolve(leave);
      },
      refuse: (error) => {
        end();
        reject(error);
      },
    };
    const timer = setTimeout(() => waiter.refuse(late()), waitMs);
    const onAbort = () => waiter.refuse(signal.reason);
    signal.addEventListener('abort', onAbort);
    this.#waiters.add(waiter);
    this.#metrics.loadWaiting(model, 1);
    return promise;
  }

  /** @param take gives each of them its own use of the model */
  admit(model: string, take: () => () => void): void {
    for (const waiter of this.#of(model)) waiter.admit(take());
  }

  /** @param model null: all */
  refuse(model: string | null, error: ServiceError): void {
    for (const waiter of this.#of(model)) waiter.refuse(error);
  }

  #of(model: string | null): Waiter[] {
    return [...this.#waiters].filter((waiter) => model === null || waiter.model === model);
  }
}
