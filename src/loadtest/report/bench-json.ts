import { type CheckedCount, countsAgree } from '../cross-check.ts';
import type { LatencySummary } from '../latency-summary.ts';
import type { Plan } from '../plan/plan.ts';
import type { LoadtestResult } from '../run-plan.ts';
import type { Stage } from '../stage.ts';

/** Results with the field names of `vllm bench serve`, one object per stage; further fields have our own names. */
export function benchJson(plan: Plan, { startedAt, stages, checks }: LoadtestResult): object {
  return {
    date: startedAt.toISOString(),
    seed: plan.seed,
    order: plan.order,
    results: stages.map((stage) => stageJson(plan, stage)),
    counts_agree: countsAgree(checks),
    counts: checks.map(countJson),
  };
}

function stageJson({ arrivals, request }: Plan, stage: Stage): object {
  const { load, target } = stage;
  return {
    date: stage.startedAt.toISOString(),
    endpoint_type: request.endpoint === 'chat' ? 'openai-chat' : 'openai',
    base_url: target.url,
    model_id: target.model,
    label: target.label,
    is_baseline: target.isBaseline,
    num_prompts: stage.requests,
    request_rate: load.kind === 'open' ? load.rate : null,
    arrivals: load.kind === 'open' ? arrivals.kind : null,
    burstiness: load.kind === 'open' ? burstiness(arrivals) : null,
    max_concurrency: load.kind === 'closed' ? load.concurrency : null,
    duration: stage.durationSeconds,
    completed: stage.completed,
    failed: stage.requests - stage.completed,
    failures: stage.failures,
    total_input_tokens: stage.promptTokens,
    total_output_tokens: stage.outputTokens,
    request_throughput: stage.requestsPerSecond,
    request_goodput: stage.goodRequestsPerSecond,
    output_throughput: stage.outputTokensPerSecond,
    total_token_throughput: stage.totalTokensPerSecond,
    max_concurrent_requests: stage.maxConcurrent,
    ...figures('ttft', stage.ttft),
    ...figures('tpot', stage.tpot),
    ...figures('itl', stage.itl),
    ...figures('e2el', stage.e2e),
    ...figures('schedule_lag', stage.lag),
    is_valid: stage.isValid,
    is_saturated: stage.isSaturated,
  };
}

/** vLLM's burstiness: 1 is Poisson, infinite is constant (null, because JSON has no infinity). */
function burstiness(arrivals: Plan['arrivals']): number | null {
  if (arrivals.kind === 'gamma') return arrivals.burstiness;
  return arrivals.kind === 'poisson' ? 1 : null;
}

function figures(name: string, summary: LatencySummary | null): Record<string, number | null> {
  const { mean = null, std = null, p50 = null, p90 = null, p99 = null } = summary ?? {};
  return {
    [`mean_${name}_ms`]: mean,
    [`median_${name}_ms`]: p50,
    [`std_${name}_ms`]: std,
    [`p50_${name}_ms`]: p50,
    [`p90_${name}_ms`]: p90,
    [`p99_${name}_ms`]: p99,
    [`p99.9_${name}_ms`]: summary?.['p99.9'] ?? null,
    [`max_${name}_ms`]: summary?.max ?? null,
  };
}

const countJson = ({ target, what, client, server, reason }: CheckedCount) => ({
  model: target.label,
  what,
  client,
  server,
  reason,
});
