import type { SequenceLife } from '../engine/protocol/sequence-life.ts';
import type { AnsweredRequest } from './request-life.ts';

/** `network`: its body arrives, or its answer is written and sent; `loading`: it waits for its model. */
type StageName = 'network' | 'loading' | 'tokenizing' | 'queue' | 'prefill' | 'decode';

/** A part of a request's time; milliseconds on the shared clock. */
export interface Stage {
  readonly name: StageName;
  readonly from: number;
  readonly to: number;
}

/**
 * Where the time of a request for text or embeddings went. Stages follow one another without gaps, so they add up to
 * the request's duration; those of no length are left out. The sequence that ended last speaks for the others, because
 * the answer waited for it. A stage that was not completed lasts until that sequence, or the request, ended.
 */
export function stagesOf(life: AnsweredRequest): Stage[] {
  const { generation, arrivedAt, readAt, loadedAt, queuedAt, endedAt } = life;
  if (generation === null) return [];
  const last = lastToEnd(life.sequences);
  const doneAt = last?.end?.at ?? endedAt;
  const completed: [StageName, number | null][] = [
    ['network', readAt],
    ['loading', loadedAt],
    ['tokenizing', queuedAt],
    ['queue', last?.startedAt ?? null],
    ['prefill', last?.prefilledAt ?? null],
    ['decode', null],
  ];
  const stages: Stage[] = [];
  let from = arrivedAt;
  const add = (name: StageName, at: number) => {
    const to = Math.min(Math.max(from, at), endedAt);
    if (to > from) stages.push({ name, from, to });
    from = to;
  };
  for (const [name, at] of completed) {
    add(name, at ?? doneAt);
    if (at === null) break;
  }
  add('network', endedAt);
  return stages;
}

/** Milliseconds by stage, exact to the microsecond. */
export function durationsOf(stages: readonly Stage[]): Partial<Record<StageName, number>> {
  const durations: Partial<Record<StageName, number>> = {};
  for (const { name, from, to } of stages) durations[name] = (durations[name] ?? 0) + to - from;
  return durations;
}

function lastToEnd(sequences: readonly SequenceLife[]): SequenceLife | null {
  const endOf = ({ end }: SequenceLife) => end?.at ?? Number.POSITIVE_INFINITY;
  return sequences.reduce<SequenceLife | null>(
    (last, sequence) => (last === null || endOf(sequence) > endOf(last) ? sequence : last),
    null,
  );
}
