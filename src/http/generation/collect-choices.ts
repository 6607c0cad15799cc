import type { ChoiceDelta } from './choice-deltas.ts';
import type { GenerationJob } from './generation-job.ts';

/** All of a choice. */
export type WholeChoice = ChoiceDelta & {
  tokens: number[];
  logprobs: NonNullable<ChoiceDelta['logprobs']>[number][] | null;
};

/** Waits for all sequences. @returns one for each, in the job's order */
export async function collectChoices(
  deltas: AsyncIterable<ChoiceDelta>,
  { requests }: GenerationJob,
): Promise<WholeChoice[]> {
  const choices = requests.map(
    ({ logprobs }, index): WholeChoice => ({
      index,
      text: '',
      tokens: [],
      logprobs: logprobs === null ? null : [],
      promptLogprobs: null,
      finishReason: null,
      stopReason: null,
    }),
  );
  for await (const delta of deltas) {
    const choice = choices[delta.index]!;
    choice.text += delta.text;
    choice.tokens.push(...delta.tokens);
    choice.logprobs?.push(...(delta.logprobs ?? []));
    choice.promptLogprobs ??= delta.promptLogprobs;
    choice.finishReason ??= delta.finishReason;
    choice.stopReason ??= delta.stopReason;
  }
  return choices;
}
