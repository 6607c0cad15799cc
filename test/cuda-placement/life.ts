import type { NativeSession } from '../../src/runtime/native/native-session.ts';

/** What a session does between load and close, in this order. Nothing is sampled: there are no numbers. */
const steps = {
  encode: (session: NativeSession) => session.encode(2, [5, 6, 7, 8]),
  prefill: (session: NativeSession) => session.prefill(2, [5, 6, 7], 0, null),
  /** One token each for rows of different lengths. */
  decode: (session: NativeSession) =>
    session.decode([1, 2, 3].map((past) => ({ token: 5, past, sampling: null }))),
  copySlot: async (session: NativeSession) => session.copySlot(2, 3, 4),
};

export const decodedRows = 3;

type Step = keyof typeof steps;
export type Phase = 'load' | Step | 'close';

/** Lets `session` live until its close. `during` runs each phase with the function that it gets. */
export async function live(
  session: NativeSession,
  during: (phase: Phase, work: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  for (const [name, step] of Object.entries(steps)) {
    const hasEncoder = session.encoderWidth > 0;
    if (name !== 'encode' || hasEncoder) await during(name as Step, () => step(session));
  }
  await during('close', () => session.close());
}
