import type { DecodeRow, Sampling, Session } from '../src/runtime/session.ts';
import { samplingRequest } from '../test/support/sampling-request.ts';

/** Greedy completions, one for each of the first `batch` slots: as in the engine, kept for all their steps. */
export function greedySamplings(session: Session, batch: number): Sampling[] {
  return Array.from({ length: batch }, () => session.startSampling(samplingRequest()));
}

/** A decode step of the first slots, one for each of `samplings`, all at the same position. */
export function decodeRows(samplings: readonly Sampling[], token: number, past: number): DecodeRow[] {
  return samplings.map((sampling) => ({ token, past, sampling }));
}

/** Milliseconds of the fastest of `steps` decode steps: whatever else runs on the machine only adds to them. */
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
