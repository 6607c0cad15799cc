import type { DecodeRow, Session } from '../src/runtime/session.ts';
import { samplingRequest } from '../test/support/sampling-request.ts';

/** A greedy decode step of the first `batch` slots, all at the same position. */
export function decodeRows(session: Session, batch: number, token: number, past: number): DecodeRow[] {
  return Array.from({ length: batch }, () => ({
    token,
    past,
    sampling: session.startSampling(samplingRequest()),
  }));
}
