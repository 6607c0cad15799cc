import type { Usage } from '../schemas/answer-parts.ts';
import type { ChoiceDelta } from './choice-deltas.ts';
import type { WholeChoice } from './collect-choices.ts';
import type { GenerationJob } from './generation-job.ts';

/** How an API writes what was generated. One for each answer: it may remember what it has written. */
export interface AnswerFormat {
  /** The answer in one piece. */
  whole(choices: readonly WholeChoice[], usage: Usage): Promise<object>;
  /** The chunks that an addition becomes, as JSON without what all chunks begin with. */
  choices(delta: ChoiceDelta): Promise<string[]>;
  /** What all chunks begin with. */
  readonly head: object;
}

/** The part of an answer that all its chunks share. */
export function answerHead<T extends string>({ id, created, model }: GenerationJob, object: T) {
  return {
    id,
    object,
    created,
    model: model.name,
    system_fingerprint: `fp_${model.manifest.digest.replace(/^sha256:/, '').slice(0, 12)}`,
  };
}
