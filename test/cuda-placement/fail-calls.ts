import { cases, open } from './cases.ts';
import { Ledger } from './ledger.ts';
import { live, type Phase } from './life.ts';

// Lets each CUDA call of each phase fail once, in a process of its own: `fail-calls.ts MODEL PRECISION CALLS`, with the
// calls of each phase as JSON. Prints a line of JSON before and after each, so the last line tells what a crash was.

export interface Failure {
  phase: Phase;
  call: string;
  /** undefined: the call is about to fail; null: nobody noticed. */
  error?: string | null;
  /** Device memory that is held after the close. */
  heldBytes?: number;
}

const [model, precision, given] = process.argv.slice(2);
const calls: [Phase, string][] = JSON.parse(given!);
const tested = cases.find((each) => each.model === model && each.precision === precision)!;
const ledger = new Ledger(process.env.STAND_IN_LEDGER!);
const held = () => ledger.total()['held bytes'] ?? 0;

async function errorOf(call: string, work: () => Promise<unknown>): Promise<string | null> {
  ledger.failNext(call);
  try {
    await work();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    ledger.failNext(null);
  }
}

for (const [failing, call] of calls) {
  console.log(JSON.stringify({ phase: failing, call } satisfies Failure));
  const before = held();
  let error: string | null = null;
  if (failing === 'load') {
    error = await errorOf(call, async () => (await open(tested)).close());
  } else {
    await live(await open(tested), async (phase, work) => {
      if (phase === failing) error = await errorOf(call, work);
      // The session serves on after a failure.
      if (phase !== failing || phase !== 'close') await work();
    });
  }
  console.log(JSON.stringify({ phase: failing, call, error, heldBytes: held() - before } satisfies Failure));
}
