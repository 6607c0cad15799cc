import type { Attack } from './attack.ts';
import { connectionAttacks } from './connection-attacks.ts';
import { keylessAttacks, requestAttacks } from './request-attacks.ts';
import { textAttacks } from './text-attacks.ts';

/** All attacks on a service with keys. */
export const attacks: readonly Attack[] = [...connectionAttacks, ...requestAttacks, ...textAttacks];

/** Those on a service without keys that has nowhere to write its log to. */
export const loglessAttacks: readonly Attack[] = keylessAttacks;
