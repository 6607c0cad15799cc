import type { ServiceCurve } from './service-curve.ts';
import { type Arrival, type Costs, type Served, SimulatedInstance } from './simulated-instance.ts';

/**
 * `turns`: each instance in turn. `shortest`: the one with the fewest sequences. `prefix`: what the endpoint picker of the
 * Gateway API Inference Extension does with its default weights, 3 for the share of the prompt that an instance has and 2 for
 * a short queue.
 */
export type Routing = 'turns' | 'shortest' | 'prefix';

/** How many instances' work goes on at full speed: prompts compute, while generating waits for memory. */
export interface Processors {
  generating: number;
  prompts: number;
}

interface Simulation {
  instances: number;
  /** Processors that the instances share equally; by default each has its own. */
  processors?: Processors;
  slots: number;
  curve: ServiceCurve;
  /** What prompts cost. */
  costs?: Omit<Costs, 'curve'>;
  /** In ascending order of time. */
  arrivals: readonly Arrival[];
  routing: Routing;
  /** The next request of a conversation, after its last answer. It arrives no earlier than that. */
  next?(arrival: Arrival, nowMs: number): Arrival | undefined;
}

interface Outcome {
  served: Served[];
  /** Sequences waiting for a slot on all instances, at each request's arrival. */
  waiting: number[];
}

/** Simulates identical instances that serve requests. */
export function simulate(simulation: Simulation): Outcome {
  const { instances, slots, curve, costs, routing, next } = simulation;
  const { generating, prompts } = simulation.processors ?? { generating: instances, prompts: instances };
  const served: Served[] = [];
  const waiting: number[] = [];
  const arrivals = [...simulation.arrivals].reverse();
  let nowMs = 0;
  const onServed = (each: Served, arrival: Arrival) => {
    served.push(each);
    const following = next?.(arrival, nowMs);
    if (!following) return;
    const at = arrivals.findLastIndex(({ atMs }) => atMs >= following.atMs);
    arrivals.splice(at + 1, 0, following);
  };
  const all = Array.from(
    { length: instances },
    () => new SimulatedInstance(slots, { curve, ...costs }, onServed),
  );
  for (let count = 0; ; ) {
    const arrival = arrivals.at(-1);
    // Requests that arrive together go into the same step.
    if (!arrival || arrival.atMs > nowMs) for (const each of all) each.beginStep(nowMs);
    const busy = all.filter(({ leftMs }) => leftMs !== undefined);
    const promptShare = busy.reduce((sum, each) => sum + each.promptShare, 0) / busy.length;
    const processors = promptShare * prompts + (1 - promptShare) * generating;
    const speed = Math.min(1, processors / busy.length);
    const stepMs = Math.min(...busy.map(({ leftMs }) => leftMs! / speed));
    if (!arrival && busy.length === 0) return { served, waiting };
    const arrives = arrival !== undefined && arrival.atMs <= nowMs + stepMs;
    const passedMs = arrives ? arrival.atMs - nowMs : stepMs;
    nowMs += passedMs;
    for (const each of busy) each.leftMs = Math.max(0, each.leftMs! - passedMs * speed);
    if (arrives) {
      arrivals.pop();
      waiting.push(all.reduce((sum, instance) => sum + instance.waiting, 0));
      chosen(all, arrival, routing, count).take(arrival);
      count += 1;
    } else for (const each of busy) if (each.leftMs! < 1e-9) each.endStep(nowMs);
  }
}

function chosen(
  all: readonly SimulatedInstance[],
  { prompt }: Arrival,
  routing: Routing,
  count: number,
): SimulatedInstance {
  if (routing === 'turns') return all[count % all.length]!;
  const longest = Math.max(...all.map(({ waiting }) => waiting));
  const shortest = Math.min(...all.map(({ waiting }) => waiting));
  const score = (instance: SimulatedInstance) => {
    if (routing === 'shortest' || !prompt) return -instance.inProgress;
    const queue = longest === shortest ? 1 : (longest - instance.waiting) / (longest - shortest);
    return 2 * queue + (3 * instance.reusable(prompt)) / prompt.tokens;
  };
  const scores = all.map(score);
  const best = Math.max(...scores);
  const equal = all.filter((_, i) => scores[i] === best);
  // The picker takes one of the best at random.
  return equal[routing === 'prefix' ? (count * 7919) % equal.length : 0]!;
}
