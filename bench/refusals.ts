import { join } from 'node:path';
import { badRequests } from '../test/support/bad-requests.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { type BenchResult, median } from './result.ts';

const model = 'austen-t5-altup-k2';
const rounds = 20;
const slowestMs = 50;

/** Measures how long a running service takes to refuse each bad request, and the size of its answer. */
export async function run(): Promise<BenchResult> {
  const service = await ServiceProcess.start({ ALTUP_MODELS: join(import.meta.dirname, '../models', model) });
  const result: BenchResult = { name: 'refusals', rows: [], ratios: {} };
  try {
    let worst = 0;
    for (const { what, body, param } of badRequests) {
      const times: number[] = [];
      let bytes = 0;
      for (let round = 0; round <= rounds; round += 1) {
        const startedAt = performance.now();
        const response = await service.post('/v1/completions', { prompt: 'a', ...body });
        const text = await response.text();
        if (round > 0) times.push(performance.now() - startedAt); // The first round is a warm-up.
        bytes = Math.max(bytes, Buffer.byteLength(text));
        const { error } = JSON.parse(text);
        if (response.status !== 400 || error.param !== param) {
          throw new Error(`${what}: ${response.status} for ${error.param}, not 400 for ${param}`);
        }
      }
      worst = Math.max(worst, ...times);
      result.rows.push({
        param,
        what,
        'median ms': median(times),
        'worst ms': Math.max(...times),
        bytes,
      });
    }
    result.ratios['limit-to-slowest'] = slowestMs / worst;
    return result;
  } finally {
    await service.stop();
  }
}
