import type { ServiceCurve } from './service-curve.ts';
import { type Arrival, type Served, SimulatedInstance } from './simulated-instance.ts';

/** `turns`: each instance in turn; `shortest`: the one with the fewest sequences. */
type Routing = 'turns' | 'shortest';

interface Simulation {
  instances: number;
  slots: number;
  curve: ServiceCurve;
  /** In ascending order of time. */
  arrivals: readonly Arrival[];
  routing: Routing;
}

interface Outcome {
  served: Served[];
  /** Sequences waiting for a slot on all instances, at each request's arrival. */
  waiting: number[];
}

/** Simulates identical instances that serve requests. */
export function simulate({ instances, slots, curve, arrivals, routing }: Simulation): Outcome {
  const served: Served[] = [];
  const waiting: number[] = [];
  const all = Array.from(
    { length: instances },
    () => new SimulatedInstance(slots, curve, (each) => served.push(each)),
  );
  arrivals.forEach((arrival, i) => {
    for (const instance of all) instance.advanceTo(arrival.atMs);
    waiting.push(all.reduce((sum, instance) => sum + instance.waiting, 0));
    const shortest = () => all.reduce((best, each) => (each.inProgress < best.inProgress ? each : best));
    (routing === 'turns' ? all[i % instances]! : shortest()).take(arrival);
  });
  for (const instance of all) instance.advanceTo(Number.POSITIVE_INFINITY);
  return { served, waiting };
}
