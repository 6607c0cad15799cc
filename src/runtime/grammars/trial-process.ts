import type { GrammarSource } from '../../sampling/grammar.ts';
import type { NativeTokenBytes, NativeVerdict } from '../native/native-addon.ts';
import { requireAddon } from './token-bytes.ts';

export type TrialOrder =
  /** A model's tokens, sent before its first source. */
  | { type: 'vocabulary'; model: string; tokens: NativeTokenBytes }
  | { type: 'try'; number: number; model: string; source: GrammarSource }
  | { type: 'end'; number: number };

export type TrialReport = { number: number } & ({ verdict: NativeVerdict } | { error: string });

/**
 * Entry point of the process that tries grammars. Each trial runs in a fork of this process, which has the vocabularies
 * in memory and shares no thread with the service.
 */
const addon = requireAddon();

function report(report: TrialReport): void {
  if (process.connected) process.send!(report);
}

async function take(order: TrialOrder): Promise<void> {
  if (order.type === 'vocabulary') {
    const { bytes, lengths, endTokens } = order.tokens;
    addon.keepTokenBytes(order.model, bytes, lengths, endTokens);
  } else if (order.type === 'end') {
    addon.endGrammarTrial(order.number);
  } else {
    const { number, model, source } = order;
    try {
      report({ number, verdict: await addon.tryGrammar(number, model, source) });
    } catch (error) {
      report({ number, error: (error as Error).message });
    }
  }
}

process.on('message', take);
// The service ends this process. A signal to the whole process group, such as Ctrl-C, must not end it first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
