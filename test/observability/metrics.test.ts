import { beforeEach, describe, expect, it } from 'vitest';
import type { EndEvent, GenerationRequest, Timings } from '../../src/engine/protocol/generation.ts';
import type { StepReport } from '../../src/engine/protocol/messages.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { createMetricsCatalogue } from '../../src/observability/metrics-catalogue.ts';
import { fakeModel } from '../support/fake-server.ts';

let metrics: Metrics;
beforeEach(() => {
  metrics = new Metrics(createMetricsCatalogue(), '1.2.3');
});

/** The samples whose name and labels begin with `prefix`. */
async function samples(prefix: string): Promise<Record<string, number>> {
  const { text } = await metrics.render();
  const lines = text.split('\n').filter((line) => line.startsWith(prefix));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  );
}
const value = async (name: string) => (await samples(`${name}{model="m"}`))[`${name}{model="m"}`];
const histogram = async (name: string) => [await value(`${name}_count`), await value(`${name}_sum`)];

const request = (id: string, promptTokens = 5): GenerationRequest =>
  ({
    id,
    model: 'm',
    promptTokens: Array.from({ length: promptTokens }, () => 7),
    completionPrefix: [],
    arrivedAt: 1000,
    client: 'alice',
    queuedAt: 1000,
  }) as never;

const timings = (reached: Partial<Timings> = {}): Timings => ({
  arrivedAt: 1000,
  startedAt: null,
  prefilledAt: null,
  firstTokenAt: null,
  finishedAt: 4000,
  promptTokens: 5,
  cachedTokens: 0,
  generatedTokens: 0,
  ...reached,
});
const finished = (id: string, reached?: Partial<Timings>): EndEvent => {
  return { type: 'finished', id, reason: 'stop', stopReason: null, text: '', timings: timings(reached) };
};
const step = (report: Partial<StepReport>): StepReport => ({
  model: 'm',
  prefillMs: null,
  decodeMs: null,
  decodeRows: 0,
  prefillTokens: 0,
  waiting: 0,
  running: 0,
  cacheUsage: 0,
  ...report,
});

describe('waiting and running', () => {
  const load = async () => [
    await value('altup_requests_waiting'),
    await value('altup_requests_running'),
    await value('altup_queue_tokens'),
  ];

  it('follow each sequence from admission to its end', async () => {
    const [a, b] = [request('a'), request('b', 3)];
    metrics.admitted(a);
    metrics.admitted(b);
    expect(await load()).toEqual([2, 0, 8]);
    metrics.started(a, 1500);
    expect(await load()).toEqual([1, 1, 3]);
    metrics.ended(b, { type: 'aborted', id: 'b', stage: 'queued', timings: timings() });
    expect(await load()).toEqual([0, 1, 0]);
    metrics.ended(a, finished('a'));
    expect(await load()).toEqual([0, 0, 0]);
  });

  it('have the names the endpoint picker knows', async () => {
    metrics.admitted(request('a'));
    metrics.admitted(request('b'));
    metrics.started(request('b'), 1500);
    metrics.stepped(step({ cacheUsage: 0.25 }));
    expect(await samples('vllm:')).toEqual({
      'vllm:num_requests_waiting{model_name="m"}': 1,
      'vllm:num_requests_running{model_name="m"}': 1,
      'vllm:kv_cache_usage_perc{model_name="m"}': 0.25,
    });
  });

  it('are not thrown off by an end told twice', async () => {
    metrics.admitted(request('a'));
    metrics.ended(request('a'), finished('a'));
    metrics.ended(request('a'), finished('a'));
    expect(await load()).toEqual([0, 0, 0]);
    expect(await histogram('altup_request_seconds')).toEqual([1, 3]);
  });
});

describe('a sequence', () => {
  it('has its times and tokens measured', async () => {
    const a = request('a');
    metrics.admitted(a);
    metrics.started(a, 1500);
    metrics.token(a, 2100, 1);
    metrics.token(a, 2110, 1);
    metrics.token(a, 2130, 2);
    metrics.ended(
      a,
      finished('a', { startedAt: 1500, prefilledAt: 2000, firstTokenAt: 2100, cachedTokens: 3 }),
    );
    expect(await value('altup_prefix_reused_tokens_total')).toBe(3);
    expect(await histogram('altup_queue_seconds')).toEqual([1, 0.5]);
    expect(await histogram('altup_prefill_seconds')).toEqual([1, 0.5]);
    expect(await histogram('altup_decode_seconds')).toEqual([1, 2]);
    expect(await histogram('altup_time_to_first_token_seconds')).toEqual([1, 1.1]);
    expect(await histogram('altup_request_seconds')).toEqual([1, 3]);
    const [gaps, sum] = await histogram('altup_inter_token_seconds');
    expect(gaps).toBe(3);
    expect(sum).toBeCloseTo(0.03);
    expect(await value('altup_prompt_tokens_total')).toBe(5);
    expect(await value('altup_generated_tokens_total')).toBe(4);
  });

  it('that never started has no prefill, decode or prompt tokens', async () => {
    metrics.admitted(request('a'));
    metrics.ended(request('a'), { type: 'aborted', id: 'a', stage: 'queued', timings: timings() });
    expect(await value('altup_prefill_seconds_count')).toBeUndefined();
    expect(await value('altup_prompt_tokens_total')).toBeUndefined();
    expect(await histogram('altup_request_seconds')).toEqual([1, 3]);
  });

  it('is counted by how it was refused, given up or failed', async () => {
    metrics.rejected('m', 'queue_full', 3);
    metrics.admitted(request('a'));
    metrics.ended(request('a'), { type: 'aborted', id: 'a', stage: 'prefill', timings: timings() });
    metrics.admitted(request('b'));
    metrics.ended(request('b'), {
      type: 'failed',
      id: 'b',
      code: 'deadline_exceeded',
      message: '',
      stage: 'queued',
      timings: timings(),
    });
    expect(await samples('altup_requests_')).toMatchObject({
      'altup_requests_rejected_total{model="m",reason="queue_full"}': 3,
      'altup_requests_aborted_total{model="m",stage="prefill"}': 1,
      'altup_requests_failed_total{model="m",code="deadline_exceeded"}': 1,
    });
  });
});

describe('a step', () => {
  it('has its phases and batch measured', async () => {
    metrics.stepped(step({ prefillMs: 20 }));
    metrics.stepped(step({ prefillMs: 10, decodeMs: 2, decodeRows: 6 }));
    expect(await samples('altup_step_seconds_sum')).toEqual({
      'altup_step_seconds_sum{model="m",phase="prefill"}': 0.03,
      'altup_step_seconds_sum{model="m",phase="decode"}': 0.002,
    });
    expect(await histogram('altup_step_batch_size')).toEqual([1, 6]);
  });

  it('shows the cache’s use, which is none when nothing runs', async () => {
    const usage = () => value('altup_kv_cache_usage_ratio');
    metrics.admitted(request('a'));
    metrics.started(request('a'), 1500);
    metrics.stepped(step({ cacheUsage: 0.5 }));
    expect(await usage()).toBe(0.5);
    metrics.ended(request('a'), finished('a'));
    expect(await usage()).toBe(0);
    metrics.stepped(step({ cacheUsage: 0.5 }));
    expect(await usage()).toBe(0);
  });
});

describe('what is loaded', () => {
  it('is described', async () => {
    metrics.loaded(fakeModel('m'), 1.5);
    expect(await value('altup_model_load_seconds')).toBe(1.5);
    expect(await value('altup_requests_waiting')).toBe(0);
    expect(Object.keys(await samples('altup_model_info'))).toEqual([
      'altup_model_info{model="m",family="t5",precision="fp32",digest="sha256:0123456789abcdef0123",parameters="1234",variant="altup-k2",backend="native",execution_provider="cpu"}',
    ]);
    expect(Object.keys(await samples('vllm:cache_config_info'))).toEqual([
      'vllm:cache_config_info{model_name="m",block_size="32",num_gpu_blocks="4"}',
    ]);
  });

  it('runs in this build', async () => {
    expect(await samples('altup_build_info')).toEqual({
      [`altup_build_info{version="1.2.3",node="${process.version}"}`]: 1,
    });
  });
});

it('tells tokens of half a millisecond and of one apart', async () => {
  for (const [id, gap] of [
    ['a', 0.4],
    ['b', 0.9],
  ] as const) {
    metrics.admitted(request(id));
    metrics.token(request(id), 2000, 1);
    metrics.token(request(id), 2000 + gap, 1);
  }
  const buckets = await samples('altup_inter_token_seconds_bucket');
  expect(Object.values(buckets).slice(0, 2)).toEqual([1, 2]);
});

describe('clients', () => {
  const of = (id: string, client: string) => ({ ...request(id), client });

  it('have what they wait, take and get', async () => {
    metrics.admitted(of('a', 'alice'));
    metrics.admitted(of('b', 'alice'));
    const waiting = 'altup_client_requests_waiting{client="alice"}';
    expect((await samples('altup_client'))[waiting]).toBe(2);
    metrics.started(of('a', 'alice'), 3000);
    metrics.token(of('a', 'alice'), 4000, 1);
    metrics.token(of('a', 'alice'), 4500, 2);
    metrics.ended(of('b', 'alice'), finished('b'));
    metrics.ended(of('a', 'alice'), finished('a'));
    const found = await samples('altup_client');
    expect(found).toMatchObject({
      [waiting]: 0,
      'altup_client_queue_seconds_sum{client="alice"}': 2,
      'altup_client_time_to_first_token_seconds_sum{client="alice"}': 3,
      'altup_client_time_to_first_token_seconds_count{client="alice"}': 1,
      'altup_client_prompt_tokens_total{client="alice"}': 5,
      'altup_client_generated_tokens_total{client="alice"}': 3,
    });
  });

  it('that are addresses share a label, and so do those beyond a hundred names', async () => {
    for (let i = 0; i < 150; i++) {
      metrics.clientResponded(`team-${i}`, 200);
      metrics.clientResponded(`address 192.0.2.${i}`, 200);
      metrics.clientResponded(`address 2001:db8:${i}::/64`, 200);
    }
    const found = await samples('altup_client_requests_total');
    expect(Object.keys(found)).toHaveLength(102);
    expect(found['altup_client_requests_total{client="anonymous",status="200"}']).toBe(300);
    expect(found['altup_client_requests_total{client="other",status="200"}']).toBe(50);
  });
});

describe('a model', () => {
  const ready = fakeModel('m');

  it('is in one state at a time', async () => {
    metrics.modelState('m', 'loading');
    metrics.modelState('m', 'failed');
    expect(await samples('altup_model_state{')).toEqual({
      'altup_model_state{model="m",state="loading"}': 0,
      'altup_model_state{model="m",state="ready"}': 0,
      'altup_model_state{model="m",state="restarting"}': 0,
      'altup_model_state{model="m",state="failed"}': 1,
    });
  });

  it('that is removed leaves its counters alone', async () => {
    metrics.modelState('m', 'ready');
    metrics.loaded(ready, 1);
    metrics.responded('m', '/v1/completions', 200);
    metrics.removed('m');
    const { text } = await metrics.render();
    const left = text.split('\n').filter((line) => /="m"/.test(line));
    expect(left).toEqual(['altup_requests_total{model="m",route="/v1/completions",status="200"} 1']);
  });

  it('that comes back with other weights is described once', async () => {
    metrics.loaded(ready, 1);
    metrics.loaded({ ...ready, manifest: { ...ready.manifest!, digest: 'sha256:other' } }, 1);
    const described = Object.keys(await samples('altup_model_info{'));
    expect(described).toEqual([expect.stringContaining('digest="sha256:other"')]);
  });
});
