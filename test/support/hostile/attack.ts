import type { Attacker, Outcome } from './attacker.ts';

/**
 * One way to do harm. To add one, add it to the list of its kind; the hostile suite and the soak benchmark run all of
 * them.
 */
export interface Attack {
  name: string;
  /** How its requests may end. */
  outcomes: readonly Outcome[];
  /** How many attackers strike at the same time, each again and again. */
  attackers: number;
  /** Longest wait for an answer, milliseconds. */
  withinMs?: number;
  /** How long it goes on, milliseconds, where the harm takes longer to show than others'. */
  forMs?: number;
  /** Longest that a neighbour's first tokens and small requests may take meanwhile, milliseconds, if not as ever. */
  neighbourMs?: number;
  /** Sends its requests once. @returns how they ended */
  strike(attacker: Attacker): Promise<Outcome | readonly Outcome[]>;
}

/** The good models that run beside the attacked ones. */
export const goodModels = { encoderDecoder: 'austen-t5-dense', decoder: 'austen-gemma3n' } as const;

/** Runs `count` times `strike` at once. */
export function atOnce(
  count: number,
  strike: (index: number) => Promise<Outcome>,
): Promise<readonly Outcome[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => strike(index)));
}
