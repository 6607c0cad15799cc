import type { Attack } from './attack.ts';
import { checkpointAttacks } from './checkpoint-attacks.ts';
import { connectionAttacks } from './connection-attacks.ts';
import { grammarAttacks } from './grammar-attacks.ts';
import { keylessAttacks, requestAttacks } from './request-attacks.ts';
import { textAttacks } from './text-attacks.ts';

/** All attacks on a service with keys that also serves hostile checkpoints. */
export const attacks: readonly Attack[] = [
  ...grammarAttacks,
  ...connectionAttacks,
  ...requestAttacks,
  ...textAttacks,
  ...checkpointAttacks,
];

/** Attacks on a service without keys that cannot write its log. */
export const loglessAttacks: readonly Attack[] = keylessAttacks;
