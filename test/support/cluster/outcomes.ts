import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { ClientsLoad, ConstantLoad } from '../constant-load.ts';

export interface Outcome {
  scenario: string;
  sent: number;
  /** Not answered, or with an error. */
  failed: number;
  /** Streams that began and did not end whole. */
  lost: number;
}

/** Ends a scenario's load and notes what its requests met. */
export async function endLoad(scenario: string, load: ConstantLoad | ClientsLoad): Promise<void> {
  await load.end();
  const { sent, lost, failures } = load;
  // Kinds of failures with their numbers, for whoever reads the log of a long run.
  const kinds = Map.groupBy(failures, (failure) => failure.replace(/^\S+ /, ''));
  for (const [kind, { length }] of kinds) console.log(`${scenario}: ${length} × ${kind}`);
  const outcome: Outcome = { scenario, sent, failed: failures.length - lost, lost };
  appendFileSync(join(inject('cluster').folder, 'outcomes.jsonl'), `${JSON.stringify(outcome)}\n`);
}
