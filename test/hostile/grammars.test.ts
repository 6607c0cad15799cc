import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeNative } from '../native/native-addon.ts';
import { awkwardGrammars } from '../support/awkward-grammars.ts';
import { familyOf } from '../support/process-usage.ts';
import { ServiceProcess } from '../support/service-process.ts';

const attackers = Array.from({ length: 8 }, (_, i) => `attacker-${i}`);
const count = 300;

interface Outcome {
  kind: string;
  status: number;
  ms: number;
  message: string;
}

describeNative('300 awkward grammars from eight clients at once', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({
      ALTUP_MODELS: 'models/austen-t5-altup-k2',
      ALTUP_SLOTS: '16',
      ALTUP_API_KEYS: [...attackers, 'neighbour', 'reader'].join(),
    });
  });
  afterAll(() => service.stop());

  async function ask(key: string, fields: object, deadlineMs: number): Promise<Omit<Outcome, 'kind'>> {
    const startedAt = performance.now();
    const response = await service.post(
      '/v1/completions',
      { prompt: 'It was a truth', max_tokens: 24, temperature: 1, seed: 1, ...fields },
      {
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        signal: AbortSignal.timeout(deadlineMs),
      },
    );
    const { error, choices } = (await response.json()) as {
      error?: { message: string };
      choices?: { text: string }[];
    };
    const message = error?.message ?? choices![0]!.text;
    return { status: response.status, ms: performance.now() - startedAt, message };
  }

  const residentMiB = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${service.pid}/status`, 'utf8'))![1]) / 1024;

  /** Sends awkward grammars until none is left, and retries after each 503. */
  async function attack(grammars: ReturnType<typeof awkwardGrammars>, outcomes: Outcome[]): Promise<void> {
    await Promise.all(
      attackers.map(async (key) => {
        for (let next = grammars.pop(); next !== undefined; next = grammars.pop()) {
          const { kind, outputs } = next;
          let outcome = await ask(key, { structured_outputs: outputs }, 60_000);
          while (outcome.status === 503) {
            outcomes.push({ kind, ...outcome });
            await setTimeout(1000);
            outcome = await ask(key, { structured_outputs: outputs }, 60_000);
          }
          outcomes.push({ kind, ...outcome });
        }
      }),
    );
  }

  it('each has an answer, every valid one among them is served, and nothing grows', async () => {
    await attack(awkwardGrammars(60, 1), []);
    const before = residentMiB();
    const outcomes: Outcome[] = [];
    const valid: (Outcome & { expected: RegExp })[] = [];
    let isOver = false;
    const neighbour = async () => {
      for (let i = 0; !isOver; i += 1) {
        // All different, so that the service must compile each.
        const [outputs, expected] = [
          [{ choice: [`left${i}`, `right${i}`] }, new RegExp(`^(left|right)${i}$`)],
          [{ regex: `[a-z]{2}-${i}` }, new RegExp(`^[a-z]{2}-${i}$`)],
          [
            {
              json: {
                type: 'object',
                properties: { n: { const: i } },
                required: ['n'],
                additionalProperties: false,
              },
            },
            new RegExp(`^\\{"n":${i}\\}$`),
          ],
        ][i % 3] as [object, RegExp];
        valid.push({
          kind: 'valid',
          expected,
          ...(await ask('neighbour', { structured_outputs: outputs }, 60_000)),
        });
        await setTimeout(50);
      }
    };
    const live: number[] = [];
    const health = async () => {
      while (!isOver) {
        const startedAt = performance.now();
        await (await fetch(`${service.url}/health/live`)).text();
        live.push(performance.now() - startedAt);
        await setTimeout(50);
      }
    };
    const others = [neighbour(), health()];
    const startedAt = performance.now();
    await attack(awkwardGrammars(count, 20_26), outcomes);
    const seconds = (performance.now() - startedAt) / 1000;
    isOver = true;
    await Promise.all(others);
    const after = residentMiB();

    const final = outcomes.filter(({ status }) => status !== 503);
    const slowest = (list: { ms: number }[]) => Math.round(Math.max(...list.map(({ ms }) => ms)));
    const tally: Record<string, number> = {};
    for (const { status } of outcomes) tally[status] = (tally[status] ?? 0) + 1;
    console.log({
      tally,
      seconds: Math.round(seconds),
      slowestAwkwardMs: slowest(final),
      valid: valid.length,
      slowestValidMs: slowest(valid),
      slowestLiveMs: Math.round(Math.max(...live)),
      beforeMiB: Math.round(before),
      afterMiB: Math.round(after),
    });
    expect(final).toHaveLength(count);
    for (const outcome of final) {
      expect([200, 400], JSON.stringify(outcome)).toContain(outcome.status);
      expect(outcome.message, outcome.kind).not.toMatch(
        /non-verbose|NoExtension|lexer|fuel|limits\.|panic|llguidance/,
      );
    }
    expect(valid.length).toBeGreaterThan(20);
    for (const { status, message, expected } of valid) {
      expect(status, message).toBe(200);
      expect(message).toMatch(expected);
    }
    expect(after).toBeLessThan(1.2 * before);
    const stoppedAt = performance.now();
    expect(await service.stop()).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(5000);
  });
});

let unique = 0;

/** A structure that uses up a trial's time limit. Each call returns a different one, so that none is known. */
function endless(): object {
  unique += 1;
  return { structured_outputs: { json: { type: 'integer', multipleOf: 1_000_003 + unique } } };
}

describeNative('the process that grammars are tried in', () => {
  const start = () => ServiceProcess.start({ ALTUP_MODELS: 'models/austen-t5-altup-k2', ALTUP_SLOTS: '4' });
  const ask = (service: ServiceProcess, fields: object, init?: RequestInit) =>
    service.post('/v1/completions', { prompt: 'Emma', max_tokens: 8, ...fields }, init);
  const isAlive = (pid: number) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };

  it('dies with a service that is killed, whatever it is trying', async () => {
    const service = await start();
    const asked = ask(service, endless()).catch(() => {});
    await expect.poll(() => familyOf(service.pid).length, { timeout: 20_000 }).toBeGreaterThan(2);
    const family = familyOf(service.pid).filter((pid) => pid !== service.pid);
    service.signal('SIGKILL');
    await service.exited;
    await asked;
    await expect.poll(() => family.filter(isAlive), { timeout: 15_000 }).toEqual([]);
  });

  it('starts again after it was killed, and who waited is told to come back', async () => {
    const service = await start();
    expect((await ask(service, { structured_outputs: { choice: ['a', 'b'] } })).status).toBe(200);
    const [trials] = familyOf(service.pid).filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('trial-process'),
    );
    const asked = ask(service, endless());
    await setTimeout(100);
    process.kill(trials!, 'SIGKILL');
    const refused = await asked;
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect((await ask(service, { structured_outputs: { choice: ['c', 'd'] } })).status).toBe(200);
    expect(await service.stop()).toBe(0);
  });

  it('tries no more what nobody waits for, and keeps nobody from leaving', async () => {
    const service = await start();
    const left = Array.from({ length: 20 }, () =>
      ask(service, endless(), { signal: AbortSignal.timeout(300) }).catch(() => 'left'),
    );
    expect(await Promise.all(left)).toEqual(Array(20).fill('left'));
    await service.metricReaches(0, 'altup_grammars_waiting');
    const startedAt = performance.now();
    expect((await ask(service, { structured_outputs: { choice: ['e', 'f'] } })).status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(5000);
    const asked = ask(service, endless());
    await setTimeout(100);
    const stoppedAt = performance.now();
    expect(await service.stop()).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(5000);
    // Refused as the service stops, or because it was tried for too long before that.
    expect([503, 400]).toContain((await asked).status);
  });
});
