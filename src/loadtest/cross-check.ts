import { setTimeout } from 'node:timers/promises';
import { paths } from './load/request-body.ts';
import type { RequestRecord } from './load/request-record.ts';
import type { RequestOptions, Target } from './load/target.ts';
import { type Scrape, scrapeMetrics } from './scrape-metrics.ts';

/** A count of this client next to the server's. `server` is null if they cannot be compared; `reason` says why. */
export interface CheckedCount {
  target: Target;
  what: string;
  client: number;
  server: number | null;
  reason: string | null;
}

/** Whether the counts are equal; null if none can be compared. */
export function countsAgree(checks: readonly CheckedCount[]): boolean | null {
  const compared = checks.filter(({ server }) => server !== null);
  return compared.length === 0 ? null : compared.every(({ client, server }) => client === server);
}

/** nginx's status for a client that left: a timeout of this client looks like that to the server. */
const clientClosedRequest = 499;
/** Statuses that the service answers before it reads the model's name, so it counts them under no model. */
const beforeModel = new Set(['401', '404', '408', '413', '415']);
const metric = 'altup_requests_total';
/** Maximum wait for the server's counts: it counts a request when it releases the connection, which may be later. */
const settleMs = 3000;

/** Compares a client's counts for a target with the change in the target's own metrics. */
export class CrossCheck {
  readonly #target: Target;
  readonly #options: RequestOptions;
  readonly #before: Scrape | null;

  private constructor(target: Target, options: RequestOptions, before: Scrape | null) {
    this.#target = target;
    this.#options = options;
    this.#before = before;
  }

  /** Call it before the first request, including the warm-up. */
  static async begin(target: Target, options: RequestOptions): Promise<CrossCheck> {
    return new CrossCheck(target, options, await scrapeMetrics(target.url));
  }

  /** @param records of every request sent since `begin`, including the warm-up */
  async end(records: readonly RequestRecord[]): Promise<CheckedCount[]> {
    const until = performance.now() + settleMs;
    for (;;) {
      const checks = this.#compare(records, await scrapeMetrics(this.#target.url));
      if (countsAgree(checks) !== false || performance.now() > until) return checks;
      await setTimeout(50);
    }
  }

  #compare(records: readonly RequestRecord[], after: Scrape | null): CheckedCount[] {
    const before = this.#before;
    const target = this.#target;
    const { model } = target;
    const known = before && after?.has('altup_build_info') ? { before, after } : null;
    const noMetrics = known ? null : 'the server exposes no altup metrics';
    const moved = (name: string, labels: Record<string, string>) =>
      known ? known.after.sum(name, labels) - known.before.sum(name, labels) : null;

    const reached = records.filter(({ status, failure }) => status !== null || failure === 'timeout');
    const statusOf = ({ status, failure }: RequestRecord) =>
      String(failure === 'timeout' || status === null ? clientClosedRequest : status);
    const statuses = [...new Set(['200', ...reached.map(statusOf)])].sort();
    const route = paths[this.#options.endpoint];
    const requests = statuses.map((status) => ({
      target,
      what: `requests with status ${status}`,
      client: reached.filter((record) => statusOf(record) === status).length,
      server: beforeModel.has(status) ? null : moved(metric, { model, route, status }),
      reason:
        noMetrics ?? (beforeModel.has(status) ? 'the service answers it before it knows the model' : null),
    }));
    const total = {
      target,
      what: 'requests with any status',
      client: reached.filter((record) => !beforeModel.has(statusOf(record))).length,
      server: moved(metric, { model, route }),
      reason: noMetrics,
    };

    // This client does not know what the server counted for these requests.
    const unknown = records.filter(({ status, failure, promptTokens }) => {
      const isRefused = status !== null && status >= 400 && status < 500;
      return !isRefused && (failure !== null || promptTokens === null);
    }).length;
    const why = noMetrics ?? (unknown > 0 ? `${unknown} answers came without usage` : null);
    const tokens = (
      what: string,
      name: string,
      count: (record: RequestRecord) => number | null,
    ): CheckedCount => ({
      target,
      what,
      client: records.reduce((sum, record) => sum + (count(record) ?? 0), 0),
      server: why === null ? moved(name, { model }) : null,
      reason: why,
    });
    return [
      total,
      ...requests,
      tokens('prompt tokens', 'altup_prompt_tokens_total', ({ promptTokens }) => promptTokens),
      tokens('generated tokens', 'altup_generated_tokens_total', ({ outputTokens }) => outputTokens),
    ];
  }
}
