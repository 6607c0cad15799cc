import { processMemory } from '../test/support/process-usage.ts';
import { askAtRandom, modelStates } from '../test/support/random-requests.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { type BenchResult, median } from './result.ts';

const count = 500;
const clients = 8;
const slots = 4;
const limitMiB = 420;
const mebibyte = 2 ** 20;

const settings = {
  'all loaded': {},
  'four of 13': { ALTUP_MAX_LOADED_MODELS: '4', ALTUP_MEMORY_LIMIT: `${limitMiB}MiB` },
};

/** 500 requests at random for 13 models: all in memory, and with room for four. */
export async function run(): Promise<BenchResult> {
  const rows: BenchResult['rows'] = [];
  for (const [name, own] of Object.entries(settings)) {
    const service = await ServiceProcess.start({ ALTUP_SLOTS: String(slots), ...own });
    try {
      const models = Object.keys(await modelStates(service));
      const idle = processMemory(service.pid).resident;
      const startedAt = performance.now();
      const { answeredMs, lost, resident, loaded } = await askAtRandom(service, models, {
        count,
        clients,
        seed: 7,
      });
      const seconds = (performance.now() - startedAt) / 1000;
      for (const each of lost) console.error(each);
      const metrics = await service.metrics();
      const loads = metrics.sum('altup_model_loads_total{', 'outcome="loaded"');
      const loadSeconds = metrics.sum('altup_model_load_duration_seconds_sum');
      const sorted = answeredMs.toSorted((a, b) => a - b);
      rows.push({
        models: name,
        answered: answeredMs.length,
        lost: lost.length,
        'models in memory, maximum': loaded,
        'resident at start, MiB': Math.round(idle / mebibyte),
        'resident, maximum, MiB': Math.round(resident / mebibyte),
        loads,
        'mean load, ms': Math.round((1000 * loadSeconds) / loads),
        'median, ms': Math.round(median(answeredMs)),
        '99 %, ms': Math.round(sorted[Math.floor(0.99 * sorted.length)] ?? Number.NaN),
        'whole run, s': Number(seconds.toFixed(1)),
      });
    } finally {
      await service.stop();
    }
  }
  return { name: 'on-demand', rows, ratios: {} };
}
