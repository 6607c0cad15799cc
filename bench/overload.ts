import { setTimeout } from 'node:timers/promises';
import { arrivalTimes } from '../src/loadtest/load/arrivals.ts';
import { randomStream } from '../src/loadtest/load/random-stream.ts';
import { openLoop } from '../src/loadtest/run-plan.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { type BenchResult, median, spread } from './result.ts';
import { numberAsked } from './support/number-asked.ts';

const deadlineMs = 30_000;
const settings = {
  ALTUP_MODELS: 'models/austen-t5-dense',
  ALTUP_SLOTS: '8',
  ALTUP_MAX_QUEUED_REQUESTS: '32',
  ALTUP_QUEUE_TIMEOUT_MS: '20000',
  ALTUP_REQUEST_TIMEOUT_MS: String(deadlineMs),
};
const body = { max_tokens: 250, ignore_eos: true, temperature: 0 };
const factor = 10;
const closedLoopClients = 16;
const recoveryRounds = 5;

interface Answer {
  /** 0: the connection broke before the answer. */
  status: number;
  latencyMs: number;
  /** null if the answer has no such header. */
  retryAfterSeconds: number | null;
}

/** @param number makes the prompt unique, by which the service recognises a refused request that returns */
async function ask(service: ServiceProcess, number: number): Promise<Answer> {
  const startedAt = performance.now();
  // Each request has its own connection: an idle one may be closed just as the next request is sent.
  const headers = { 'content-type': 'application/json', connection: 'close' };
  const answer = async (): Promise<Pick<Answer, 'status' | 'retryAfterSeconds'>> => {
    const response = await service.post(
      '/v1/completions',
      { ...body, prompt: `Letter ${number}. It is a truth` },
      { headers },
    );
    await response.arrayBuffer();
    const header = response.headers.get('retry-after');
    return { status: response.status, retryAfterSeconds: header === null ? null : Number(header) };
  };
  const { status, retryAfterSeconds } = await answer().catch(() => ({ status: 0, retryAfterSeconds: null }));
  return { status, latencyMs: performance.now() - startedAt, retryAfterSeconds };
}

/** Requests per second that a closed loop of clients gets. */
async function capacity(service: ServiceProcess, seconds: number): Promise<number> {
  const endsAt = performance.now() + seconds * 1000;
  let served = 0;
  let asked = 0;
  const client = async () => {
    while (performance.now() < endsAt) {
      asked += 1;
      const { status } = await ask(service, asked);
      if (status === 200 && performance.now() < endsAt) served += 1;
      // Wait for requests that an earlier burst left in the queue.
      if (status !== 200) await setTimeout(50);
    }
  };
  await Promise.all(Array.from({ length: closedLoopClients }, client));
  return served / seconds;
}

interface Burst {
  answers: Answer[];
  /** Answers to refused requests that came back once, after their Retry-After: during the overload and after it. */
  returns: { during: Answer[]; after: Answer[] };
}

/** Sends an open loop: requests arrive on schedule, regardless of earlier answers. */
async function burst(
  service: ServiceProcess,
  perSecond: number,
  seconds: number,
  isObeyed: boolean,
): Promise<Burst> {
  const result: Burst = { answers: [], returns: { during: [], after: [] } };
  const endsAt = performance.now() + seconds * 1000;
  let asked = 0;
  const request = async () => {
    asked += 1;
    const number = asked;
    const answer = await ask(service, number);
    result.answers.push(answer);
    if (answer.status === 200 || answer.retryAfterSeconds === null || !isObeyed) return;
    await setTimeout(answer.retryAfterSeconds * 1000);
    const returns = performance.now() < endsAt ? result.returns.during : result.returns.after;
    returns.push(await ask(service, number));
  };
  const progress = async () => {
    await setTimeout(seconds * 1000);
    const { answers, returns } = result;
    const told = Math.max(...answers.map(({ retryAfterSeconds }) => retryAfterSeconds ?? 0));
    console.error(
      `${answers.length} answered; of ${returns.during.length} who came back ` +
        `${returns.during.filter(isServed).length} served. The last comes in ${told} s.`,
    );
  };
  if (isObeyed) void progress();
  const times = arrivalTimes({ kind: 'poisson' }, perSecond, seconds * 1000, randomStream(5, 'arrivals'));
  await openLoop(times, request);
  return result;
}

/** Samples resident memory, MiB, every second until `work` ends. */
async function memoryDuring<T>(
  service: ServiceProcess,
  work: Promise<T>,
): Promise<{ result: T; mebibytes: number[] }> {
  const mebibytes: number[] = [];
  let isDone = false;
  const watched = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    mebibytes.push((await service.metric('process_resident_memory_bytes')) / 2 ** 20);
    await Promise.race([setTimeout(1000), watched.catch(() => {})]);
  }
  return { result: await watched, mebibytes };
}

/** Maximum of each fifth of a series. */
function peaksOfFifths(series: readonly number[]): number[] {
  const part = (i: number) => series.slice((i * series.length) / 5, ((i + 1) * series.length) / 5);
  return Array.from({ length: 5 }, (_, i) => Math.max(...part(i)));
}

const isServed = ({ status }: Answer) => status === 200;
const shareOf = (answers: readonly Answer[], isCounted: (answer: Answer) => boolean) =>
  answers.filter(isCounted).length / answers.length;

/**
 * Sends ten times the capacity in an open loop for `--seconds`. Measures admitted requests, refused requests that come
 * back after their Retry-After, memory, and the throughput afterwards.
 */
export async function run(): Promise<BenchResult> {
  const seconds = numberAsked('seconds', 60);
  const service = await ServiceProcess.start(settings);
  try {
    await capacity(service, 5); // warm-up
    const usual = await memoryDuring(service, capacity(service, 15));
    const before = usual.result;
    const { result, mebibytes } = await memoryDuring(service, burst(service, factor * before, seconds, true));
    const { during, after: afterwards } = result.returns;
    const returns = [...during, ...afterwards];
    const served = result.answers.filter(isServed);
    const refused = result.answers.filter((answer) => !isServed(answer));
    const latencies = served.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
    const p99 = latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN;

    const recoveries: { after: number; later: number }[] = [];
    for (let round = 0; round < recoveryRounds; round += 1) {
      await burst(service, factor * before, 10, false);
      await setTimeout(5000);
      recoveries.push({ after: await capacity(service, 10), later: await capacity(service, 10) });
    }
    const recovered = recoveries.map(({ after, later }) => after / later);
    return {
      name: 'overload',
      rows: [
        { what: 'capacity before, requests/s', value: before },
        {
          what: 'capacity from 5 s after a burst on, requests/s',
          value: median(recoveries.map(({ after }) => after)),
        },
        { what: 'capacity later, requests/s', value: median(recoveries.map(({ later }) => later)) },
        { what: 'the first to the second, range', value: spread(recovered) },
        { what: 'requests in the burst', value: result.answers.length },
        { what: 'served', value: served.length },
        ...[429, 500, 503, 504].map((status) => ({
          what: `answered ${status}`,
          value: refused.filter((answer) => answer.status === status).length,
        })),
        { what: 'broken connections', value: refused.filter(({ status }) => status === 0).length },
        { what: 'came back when told, during the burst', value: during.length },
        { what: 'of them served', value: during.filter(isServed).length },
        { what: 'came back when told, after it', value: afterwards.length },
        { what: 'of them served', value: afterwards.filter(isServed).length },
        {
          what: 'longest Retry-After, s',
          value: Math.max(...refused.map((each) => each.retryAfterSeconds ?? 0)),
        },
        { what: 'p99 of those served, ms', value: p99 },
        { what: 'deadline, ms', value: deadlineMs },
        { what: 'memory before, MiB', value: Math.max(...usual.mebibytes) },
        ...peaksOfFifths(mebibytes).map((value, i) => ({
          what: `memory in fifth ${i + 1} of the burst and the returns, MiB`,
          value,
        })),
      ],
      ratios: {
        'refused-with-retry-after': shareOf(refused, ({ retryAfterSeconds }) => retryAfterSeconds !== null),
        'refused-with-429-or-503': shareOf(refused, ({ status }) => status === 429 || status === 503),
        'return-success': shareOf(returns, isServed),
        'p99-to-deadline': p99 / deadlineMs,
        memory: Math.max(...mebibytes) / Math.max(...usual.mebibytes),
        recovery: median(recovered),
      },
    };
  } finally {
    await service.stop();
  }
}
