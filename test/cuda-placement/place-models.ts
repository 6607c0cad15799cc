import { writeSync } from 'node:fs';
import { type Case, casesOn, open } from './cases.ts';
import { type Counts, Ledger } from './ledger.ts';
import { live, type Phase } from './life.ts';

// Runs every case that the stand-in's device can run, in a process of its own. Prints a line of JSON for each. ONNX Runtime's log of each
// follows a line `# <model> <precision>` on stderr.

export interface Life extends Case {
  /** What the stand-in counted; of decoding the second step, because the first one allocates. */
  counts: Partial<Record<Phase, Counts>>;
  /** Device memory that is held after the close. */
  heldBytes: number;
}

const ledger = new Ledger(process.env.STAND_IN_LEDGER!);
for (const each of casesOn(Number(process.env.STAND_IN_CAPABILITY))) {
  writeSync(2, `# ${each.model} ${each.precision}\n`);
  ledger.take();
  const session = await open(each, { verbose: true });
  const counts: Life['counts'] = { load: ledger.take() };
  await live(session, async (phase, work) => {
    if (phase === 'decode') await work();
    ledger.take();
    await work();
    counts[phase] = ledger.take();
  });
  const life: Life = { ...each, counts, heldBytes: ledger.total()['held bytes']! };
  console.log(JSON.stringify(life));
}
