import { expect, it } from 'vitest';
import { between, countsIn } from '../../src/ui/strip/metrics-text.js';
import { fakeServer } from '../support/fake-server.ts';

const text = `# TYPE altup_requests_running gauge
altup_requests_running{model="a"} 2
altup_requests_running{model="b {x} 7"} 1
altup_requests_waiting{model="a"} 3
altup_generated_tokens_total{model="a"} 120
altup_client_generated_tokens_total{client="anonymous"} 999
altup_step_batch_size_bucket{le="1",model="a"} 5
altup_step_batch_size_sum{model="a"} 60
altup_step_batch_size_count{model="a"} 20
vllm:num_requests_running{model_name="a"} 2
`;

it('adds up the models', () => {
  expect(countsIn(text)).toEqual({ running: 3, waiting: 3, tokens: 120, steps: 20, rows: 60 });
});

it('knows the metrics of the service, and no others', async () => {
  const { app } = fakeServer();
  expect(countsIn((await app.inject('/metrics')).body)).not.toBeNull();
  expect(countsIn('<html>altup_requests_running</html>')).toBeNull();
});

it('tells what happened between two readings', () => {
  const before = { running: 0, waiting: 0, tokens: 100, steps: 10, rows: 10 };
  const after = { running: 0, waiting: 0, tokens: 160, steps: 30, rows: 70 };
  expect(between(before, after, 2)).toEqual({ tokensPerSecond: 30, batch: 3 });
  expect(between(before, before, 2)).toEqual({ tokensPerSecond: 0, batch: null });
  expect(between(after, before, 2)).toBeNull();
});
