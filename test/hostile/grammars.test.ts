import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeNative } from '../native/native-addon.ts';
import { awkwardGrammars } from '../support/awkward-grammars.ts';
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

  /** Sends awkward grammars until none is left; a client told to come back does. */
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
        // Never the same twice, so that each has to be compiled.
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
