import { beforeEach, describe, expect, it } from 'vitest';
import type { AbortStage, GenerationEvent } from '../../src/engine/protocol/generation.ts';
import type { StepReport } from '../../src/engine/protocol/messages.ts';
import { SequenceLife } from '../../src/engine/protocol/sequence-life.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { createMetricsCatalogue } from '../../src/observability/metrics-catalogue.ts';
import { fakeModel } from '../support/fake-server.ts';
import { embeddingRequest, generationRequest } from '../support/generation-request.ts';

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

/** An admitted sequence that arrived at 1000. */
function admit(promptTokens = 5): SequenceLife {
  const request = generationRequest({
    id: 'id',
    model: 'm',
    promptTokens: new Array(promptTokens).fill(7),
    arrivedAt: 1000,
    queuedAt: 1000,
    client: 'alice',
  });
  const life = new SequenceLife(request);
  metrics.admitted(life);
  return life;
}
/** Reports an event as the engine client does. */
function happen(life: SequenceLife, event: GenerationEvent): void {
  metrics.happened(life, event);
  life.add(event);
}
const started = (at: number): GenerationEvent => ({ type: 'started', id: 'id', at });
const prefilled = (at: number): GenerationEvent => ({ type: 'prefilled', id: 'id', at });
const tokens = (at: number, count = 1): GenerationEvent => {
  return { type: 'tokens', id: 'id', at, tokens: new Array(count).fill(8), text: '', logprobs: null };
};
const at = 4000;
const finished: GenerationEvent = {
  type: 'finished',
  id: 'id',
  at,
  reason: 'stop',
  stopReason: null,
  text: '',
};
const aborted = (stage: AbortStage): GenerationEvent => ({ type: 'aborted', id: 'id', at, stage });
const step = (report: Partial<StepReport>): StepReport => ({
  model: 'm',
  prefillMs: null,
  decodeMs: null,
  decodeRows: 0,
  prefillTokens: 0,
  waiting: 0,
  running: 0,
  cacheUsage: 0,
  prefillBacklogMs: 0,
  cacheBytes: 0,
  ...report,
});

describe('waiting and running', () => {
  const load = async () => [
    await value('altup_requests_waiting'),
    await value('altup_requests_running'),
    await value('altup_queue_tokens'),
  ];

  it('follow each sequence from admission to its end', async () => {
    const [a, b] = [admit(), admit(3)];
    expect(await load()).toEqual([2, 0, 8]);
    happen(a, started(1500));
    expect(await load()).toEqual([1, 1, 3]);
    happen(b, aborted('queued'));
    expect(await load()).toEqual([0, 1, 0]);
    happen(a, finished);
    expect(await load()).toEqual([0, 0, 0]);
  });

  it('have the names the endpoint picker knows', async () => {
    admit();
    happen(admit(), started(1500));
    metrics.stepped(step({ cacheUsage: 0.25 }));
    expect(await samples('vllm:')).toEqual({
      'vllm:num_requests_waiting{model_name="m"}': 1,
      'vllm:num_requests_running{model_name="m"}': 1,
      'vllm:kv_cache_usage_perc{model_name="m"}': 0.25,
    });
  });
});

describe('a sequence', () => {
  it('has its times and tokens measured', async () => {
    const a = admit();
    happen(a, started(1500));
    happen(a, { type: 'reused', id: 'id', tokens: 3 });
    happen(a, prefilled(2000));
    happen(a, tokens(2100));
    happen(a, tokens(2110));
    happen(a, tokens(2130, 2));
    happen(a, finished);
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

  it('that is embedded counts like others, but decodes nothing', async () => {
    const times = { arrivedAt: 1000, queuedAt: 1200 };
    const request = embeddingRequest({ id: 'id', model: 'm', promptTokens: [5, 6, 7], ...times });
    const life = new SequenceLife(request);
    metrics.admitted(life);
    expect(await value('altup_queue_tokens')).toBe(3);
    happen(life, started(1500));
    expect(await value('altup_requests_running')).toBe(1);
    happen(life, { type: 'embedded', id: 'id', at, embedding: Float32Array.of(1) });
    expect(await value('altup_requests_running')).toBe(0);
    expect(await value('altup_queue_tokens')).toBe(0);
    expect(await histogram('altup_queue_seconds')).toEqual([1, 0.3]);
    expect(await histogram('altup_prefill_seconds')).toEqual([1, 2.5]);
    expect(await histogram('altup_request_seconds')).toEqual([1, 3]);
    expect(await value('altup_prompt_tokens_total')).toBe(3);
    expect(await value('altup_decode_seconds_count')).toBeUndefined();
    expect(await value('altup_time_to_first_token_seconds_count')).toBeUndefined();
  });

  it('that never started has no prefill, decode or prompt tokens', async () => {
    happen(admit(), aborted('queued'));
    expect(await value('altup_prefill_seconds_count')).toBeUndefined();
    expect(await value('altup_prompt_tokens_total')).toBeUndefined();
    expect(await histogram('altup_request_seconds')).toEqual([1, 3]);
  });

  it('is counted by how it was refused, given up or failed', async () => {
    metrics.rejected('m', 'queue_full', 3);
    happen(admit(), aborted('prefill'));
    const failed = { type: 'failed', id: 'id', at, message: '', stage: 'queued' } as const;
    happen(admit(), { ...failed, code: 'deadline_exceeded' });
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
    const a = admit();
    happen(a, started(1500));
    metrics.stepped(step({ cacheUsage: 0.5 }));
    expect(await usage()).toBe(0.5);
    happen(a, finished);
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
    expect(await value('altup_kv_cache_budget_bytes')).toBe(0);
    metrics.stepped(step({ cacheBytes: 5000 }));
    expect(await value('altup_kv_cache_bytes')).toBe(5000);
    metrics.stepped(step({ prefillBacklogMs: 2500 }));
    expect(await value('altup_prefill_backlog_seconds')).toBe(2.5);
    metrics.loaded(fakeModel('m'), 1.5);
    expect(await value('altup_prefill_backlog_seconds')).toBe(0);
    expect(Object.keys(await samples('altup_model_info'))).toEqual([
      'altup_model_info{model="m",family="t5",precision="fp32",digest="sha256:0123456789abcdef0123",parameters="1234",variant="altup-k2",backend="native",execution_provider="cpu"}',
    ]);
    expect(Object.keys(await samples('vllm:cache_config_info'))).toEqual([
      'vllm:cache_config_info{model_name="m",block_size="16",num_gpu_blocks="8"}',
    ]);
  });

  it('runs in this build', async () => {
    expect(await samples('altup_build_info')).toEqual({
      [`altup_build_info{version="1.2.3",node="${process.version}"}`]: 1,
    });
  });
});

it('tells tokens of half a millisecond and of one apart', async () => {
  for (const gap of [0.4, 0.9]) {
    const life = admit();
    happen(life, tokens(2000));
    happen(life, tokens(2000 + gap));
  }
  const buckets = await samples('altup_inter_token_seconds_bucket');
  expect(Object.values(buckets).slice(0, 2)).toEqual([1, 2]);
});

describe('clients', () => {
  it('have what they wait, take and get', async () => {
    const [a, b] = [admit(), admit()];
    const waiting = 'altup_client_requests_waiting{client="alice"}';
    expect((await samples('altup_client'))[waiting]).toBe(2);
    happen(a, started(3000));
    happen(a, tokens(4000));
    happen(a, tokens(4500, 2));
    happen(b, finished);
    happen(a, finished);
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
      for (const client of [`team-${i}`, `address 192.0.2.${i}`, `address 2001:db8:${i}::/64`]) {
        metrics.answered({ model: 'm', route: '/v1/completions', status: 200, client });
      }
    }
    const found = await samples('altup_client_requests_total');
    expect(Object.keys(found)).toHaveLength(102);
    expect(found['altup_client_requests_total{client="anonymous",status="200"}']).toBe(300);
    expect(found['altup_client_requests_total{client="other",status="200"}']).toBe(50);
  });
});

describe('requests for text', () => {
  const stages = [
    { name: 'network', from: 0, to: 10 },
    { name: 'queue', from: 10, to: 510 },
    { name: 'network', from: 510, to: 530 },
  ] as const;

  it('add their time to a stage of their client and model', async () => {
    metrics.generationEnded({ model: 'm', client: 'alice' }, stages);
    metrics.generationEnded({ model: 'm', client: 'alice' }, stages.slice(0, 1));
    metrics.generationEnded({ model: 'n', client: 'address 192.0.2.1' }, []);
    expect(await samples('altup_client_generations_total')).toEqual({
      'altup_client_generations_total{client="alice",model="m"}': 2,
      'altup_client_generations_total{client="anonymous",model="n"}': 1,
    });
    const spent = await samples('altup_client_stage_seconds_total');
    const ofAlice = (stage: string) =>
      spent[`altup_client_stage_seconds_total{client="alice",model="m",stage="${stage}"}`];
    expect(Object.keys(spent)).toHaveLength(2);
    expect([ofAlice('network'), ofAlice('queue')]).toEqual([expect.closeTo(0.04, 9), 0.5]);
  });

  it('of more than a hundred clients share a label', async () => {
    for (let i = 0; i < 150; i++) metrics.generationEnded({ model: 'm', client: `team-${i}` }, stages);
    expect(Object.keys(await samples('altup_client_stage_seconds_total'))).toHaveLength(2 * 101);
  });
});

describe('a model', () => {
  const ready = fakeModel('m');

  it('is in one state at a time', async () => {
    metrics.modelState('m', 'loading');
    metrics.modelState('m', 'failed');
    expect(await samples('altup_model_state{')).toEqual({
      'altup_model_state{model="m",state="unloaded"}': 0,
      'altup_model_state{model="m",state="loading"}': 0,
      'altup_model_state{model="m",state="ready"}': 0,
      'altup_model_state{model="m",state="unloading"}': 0,
      'altup_model_state{model="m",state="restarting"}': 0,
      'altup_model_state{model="m",state="failed"}': 1,
    });
  });

  it('that is removed leaves its counters alone', async () => {
    metrics.modelState('m', 'ready');
    metrics.loaded(ready, 1);
    metrics.answered({ model: 'm', route: '/v1/completions', status: 200, client: '' });
    metrics.loadWaiting('m', 1);
    metrics.removed('m');
    const { text } = await metrics.render();
    const left = text
      .split('\n')
      .filter((line) => /="m"/.test(line) && !line.startsWith('altup_model_load_duration_seconds'));
    expect(left).toEqual([
      'altup_requests_total{model="m",route="/v1/completions",status="200"} 1',
      'altup_model_loads_total{model="m",outcome="loaded"} 1',
    ]);
  });

  it('is counted when it is loaded, fails or is unloaded, and has memory only while it is loaded', async () => {
    metrics.loadFailed('m');
    metrics.loaded(ready, 1.5);
    metrics.loaded(ready, 2);
    expect(await samples('altup_model_loads_total')).toEqual({
      'altup_model_loads_total{model="m",outcome="failed"}': 1,
      'altup_model_loads_total{model="m",outcome="loaded"}': 2,
    });
    expect(await histogram('altup_model_load_duration_seconds')).toEqual([2, 3.5]);
    expect(await value('altup_model_memory_bytes')).toBe(1000);
    metrics.unloaded('m', 'room');
    expect(await samples('altup_model_unloads_total')).toEqual({
      'altup_model_unloads_total{model="m",reason="room"}': 1,
    });
    for (const name of ['altup_model_memory_bytes', 'altup_model_info', 'altup_kv_cache_budget_bytes'])
      expect(await samples(`${name}{`)).toEqual({});
  });

  it('has requests that wait for it', async () => {
    metrics.loadWaiting('m', 1);
    metrics.loadWaiting('m', 1);
    metrics.loadWaiting('m', -1);
    expect(await value('altup_model_load_waiting')).toBe(1);
  });

  it('that comes back with other weights is described once', async () => {
    metrics.loaded(ready, 1);
    metrics.loaded({ ...ready, manifest: { ...ready.manifest!, digest: 'sha256:other' } }, 1);
    const described = Object.keys(await samples('altup_model_info{'));
    expect(described).toEqual([expect.stringContaining('digest="sha256:other"')]);
  });
});
