import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../support/seeded-random.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { readStream, type Streamed } from '../support/stream-completion.ts';

const models = ['austen-t5-dense', 'austen-t5-altup-k2', 'austen-t5-altup-k4', 'austen-t5-recycled-k2'];
const words =
  'It was a truth that she had never seen so much of the world as in that long walk to the house of her friend'.split(
    ' ',
  );

/** 64 requests with mixed models, prompt lengths and completion lengths; half greedy, half sampled with a seed. */
function mixedRequests() {
  const random = seededRandom(7);
  return Array.from({ length: 64 }, (_, i) => ({
    model: models[i % models.length],
    prompt: Array.from({ length: 3 + random.below(60) }, () => words[random.below(words.length)]).join(' '),
    max_tokens: 8 + random.below(100),
    ignore_eos: true,
    ...(i % 2 === 0 ? { temperature: 0 } : { temperature: 1, top_p: 0.9, seed: i }),
  }));
}

describe('64 concurrent streams of mixed lengths and models', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({ ALTUP_SLOTS: '16' });
  });
  afterAll(() => service.stop());

  it('each one equals its run alone, in batches above one', async () => {
    const requests = mixedRequests();
    const stream = async (body: object): Promise<Streamed> =>
      readStream(await service.post('/v1/completions', { ...body, stream: true }));
    const alone: Streamed[] = [];
    for (const body of requests) alone.push(await stream(body));
    const batchesOfOne = await service.metric('altup_step_batch_size_bucket', 'le="1"');
    const batches = await service.metric('altup_step_batch_size_count');
    expect(batchesOfOne).toBe(batches);

    const together = await Promise.all(requests.map(stream));
    // Lag since the scrape before them. Printed, not asserted: on a shared machine it says little about the code.
    const lagMs = 1000 * (await service.metric('nodejs_eventloop_lag_p99_seconds'));
    console.log(`event-loop lag of the HTTP thread under 64 mixed streams: p99 ${lagMs.toFixed(1)} ms`);
    for (const [i, streamed] of together.entries()) {
      expect(streamed.error, `request ${i}`).toBeNull();
      expect(streamed.isDone, `request ${i}`).toBe(true);
      expect(streamed.choices[0]?.finish_reason, `request ${i}`).toBe('length');
      expect(streamed.choices, `request ${i}`).toEqual(alone[i]?.choices);
    }
    const above =
      (await service.metric('altup_step_batch_size_count')) -
      (await service.metric('altup_step_batch_size_bucket', 'le="1"'));
    expect(above).toBeGreaterThan(50);
    expect(await service.metric('altup_requests_running{')).toBe(0);
    expect(await service.metric('altup_requests_waiting{')).toBe(0);
    expect(await service.metric('altup_generated_tokens_total')).toBe(
      2 * requests.reduce((sum, { max_tokens }) => sum + max_tokens, 0),
    );
  }, 120_000);
});
