import type { Target } from '../../src/loadtest/load/target.ts';
import type { Plan } from '../../src/loadtest/plan/plan.ts';
import type { LoadtestResult } from '../../src/loadtest/run-plan.ts';
import { summarizeStage } from '../../src/loadtest/stage.ts';
import { recordsEvery } from './request-records.ts';

const targetOf = (label: string, isBaseline: boolean): Target => ({
  url: 'http://localhost:8080',
  model: label,
  label,
  isBaseline,
});

/** The result of two rates on a model that takes 100 ms and a baseline that takes `baselineMs`. */
export function loadtestResult(model: string, baselineMs: number): { plan: Plan; result: LoadtestResult } {
  const targets = [targetOf(model, false), targetOf('dense', true)];
  const judgement = { objectives: { ttft: 150 }, maxLagMs: 50 };
  const plan: Plan = {
    targets,
    request: { endpoint: 'completions', temperature: 0, fields: {}, timeoutMs: 1000, apiKey: 'sesame' },
    arrivals: { kind: 'poisson' },
    loads: [
      { kind: 'open', rate: 5 },
      { kind: 'open', rate: 10 },
    ],
    sweepFactor: null,
    order: 'turns',
    extent: { durationMs: 2000, requests: Number.POSITIVE_INFINITY },
    warmUpRequests: 0,
    seed: 1,
    promptsOf: () => () => ({ text: 'a', maxTokens: 1 }),
    judgement,
  };
  const stages = plan.loads.flatMap((load, i) =>
    targets.map((target) => {
      const records = recordsEvery(
        200 / (i + 1),
        40,
        (index) => (target.isBaseline ? baselineMs : 100) + index,
      );
      return summarizeStage(target, load, { date: new Date(0), at: 0 }, records, judgement);
    }),
  );
  const checks = targets.map((target) => ({
    target,
    what: 'requests',
    client: 80,
    server: 80,
    reason: null,
  }));
  return { plan, result: { startedAt: new Date(0), stages, checks } };
}
