import type { Attacker, Outcome } from './attacker.ts';

/**
 * One kind of attack. To add one, add it to the list of its kind; the hostile suite and the soak benchmark run them
 * all.
 */
export interface Attack {
  name: string;
  /** Outcomes that its requests may have. */
  outcomes: readonly Outcome[];
  /** How many attackers strike at the same time, each repeatedly. */
  attackers: number;
  /** Maximum wait for an answer, milliseconds. */
  withinMs?: number;
  /** Duration in milliseconds, if the harm takes longer to show than with other attacks. */
  forMs?: number;
  /** Maximum time of a neighbour's first tokens and small requests, milliseconds, if not the usual one. */
  neighbourMs?: number;
  /** Sends its requests once. @returns how they ended */
  strike(attacker: Attacker): Promise<Outcome | readonly Outcome[]>;
}

/** The good models that run beside the attacked ones. */
export const goodModels = { encoderDecoder: 'austen-t5-dense', decoder: 'austen-gemma3n' } as const;

/** Runs `strike` `count` times in parallel. */
export function atOnce(
  count: number,
  strike: (index: number) => Promise<Outcome>,
): Promise<readonly Outcome[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => strike(index)));
}
