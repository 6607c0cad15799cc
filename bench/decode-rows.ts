import type { DecodeRow, Sampling, Session } from '../src/runtime/session.ts';
import { samplingRequest } from '../test/support/sampling-request.ts';

/** Greedy samplings for the first `batch` slots. As in the engine, each is kept for all steps of its completion. */
export function greedySamplings(session: Session, batch: number): Sampling[] {
  return Array.from({ length: batch }, () => session.startSampling(samplingRequest()));
}

/** Rows of a decode step: one slot for each of `samplings`, all at the same position. */
export function decodeRows(samplings: readonly Sampling[], token: number, past: number): DecodeRow[] {
  return samplings.map((sampling) => ({ token, past, sampling }));
}

/** Milliseconds of the fastest of `steps` decode steps, because other load on the machine only adds time. */
export async function fastestStep(
  session: Session,
  { batch, past, steps }: { batch: number; past: number; steps: number },
): Promise<number> {
  const samplings = greedySamplings(session, batch);
  const times = [];
  for (let step = 0; step < steps; step += 1) {
    const rows = decodeRows(samplings, 300 + step, past);
    const start = performance.now();
    await session.decode(rows);
    times.push(performance.now() - start);
  }
  return Math.min(...times);
}
