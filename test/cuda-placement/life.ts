import type { NativeSession } from '../../src/runtime/native/native-session.ts';
import { samplingRequest } from '../support/sampling-request.ts';

const requests = [
  samplingRequest(),
  samplingRequest({ parameters: { temperature: 1, topK: 40, topP: 0.9 } }),
  samplingRequest({ parameters: { temperature: 0.7, repetitionPenalty: 1.2 }, logprobs: 5 }),
];
type Samplings = ReturnType<NativeSession['startSampling']>[];

/** What a session does between load and close, in this order. The tokens mean nothing: there are no numbers. */
const steps = {
  encode: (session: NativeSession) => session.encode(2, [5, 6, 7, 8]),
  prefill: (session: NativeSession) => session.prefill(2, [5, 6, 7], 0, null),
  /** One token each for rows of different lengths. */
  decode: (session: NativeSession, samplings: Samplings) =>
    session.decode(samplings.map((sampling, row) => ({ token: 5, past: row + 1, sampling }))),
  copySlot: async (session: NativeSession) => session.copySlot(2, 3, 4),
};

export const decodedRows = requests.length;

type Step = keyof typeof steps;
export type Phase = 'load' | Step | 'close';

/** Lets `session` live until its close. `during` runs each phase with the function that it gets. */
export async function live(
  session: NativeSession,
  during: (phase: Phase, work: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const samplings = requests.map((request) => session.startSampling(request));
  for (const [name, step] of Object.entries(steps)) {
    const hasEncoder = session.encoderWidth > 0;
    if (name !== 'encode' || hasEncoder) await during(name as Step, () => step(session, samplings));
  }
  for (const sampling of samplings) sampling.end();
  await during('close', () => session.close());
}
