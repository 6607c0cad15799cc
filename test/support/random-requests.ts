import { setTimeout } from 'node:timers/promises';
import { processMemory } from './process-usage.ts';
import { seededRandom } from './seeded-random.ts';
import type { ServiceProcess } from './service-process.ts';

interface RandomRequests {
  /** Milliseconds of each request that was answered with 200. */
  answeredMs: number[];
  /** Status and body of all others. */
  lost: string[];
  /** Maximum resident memory seen meanwhile, bytes. */
  resident: number;
  /** Maximum models in memory seen meanwhile. */
  loaded: number;
}

interface RandomRequestsOptions {
  count: number;
  clients: number;
  seed: number;
}

const inMemory = ['loading', 'ready', 'unloading', 'restarting'];

/** Asks the models of a service for short completions in a random order, and watches its memory meanwhile. */
export async function askAtRandom(
  service: ServiceProcess,
  models: readonly string[],
  { count, clients, seed }: RandomRequestsOptions,
): Promise<RandomRequests> {
  const random = seededRandom(seed);
  const result: RandomRequests = { answeredMs: [], lost: [], resident: 0, loaded: 0 };
  let asked = 0;
  const client = async () => {
    while (asked < count) {
      asked += 1;
      const model = models[random.below(models.length)]!;
      const max_tokens = 1 + random.below(24);
      const startedAt = performance.now();
      const response = await service.post('/v1/completions', { model, prompt: 'It is a truth', max_tokens });
      const body = await response.text();
      if (response.status === 200) result.answeredMs.push(performance.now() - startedAt);
      else result.lost.push(`${model}: ${response.status} ${body}`);
    }
  };
  const watch = async () => {
    while (result.answeredMs.length + result.lost.length < count) {
      result.resident = Math.max(result.resident, processMemory(service.pid).resident);
      const states = await modelStates(service);
      const loaded = Object.values(states).filter((state) => inMemory.includes(state)).length;
      result.loaded = Math.max(result.loaded, loaded);
      await setTimeout(20);
    }
  };
  await Promise.all([watch(), ...Array.from({ length: clients }, client)]);
  return result;
}

/** The state of each model, by name. */
export async function modelStates(service: ServiceProcess): Promise<Record<string, string>> {
  const { data } = (await (await fetch(`${service.url}/v1/models`)).json()) as {
    data: { id: string; state: string }[];
  };
  return Object.fromEntries(data.map(({ id, state }) => [id, state]));
}
