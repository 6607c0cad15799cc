import { describeLoad } from '../plan/plan.ts';
import type { Stage } from '../stage.ts';
import { short } from './figures.ts';

/** Columns of the first table, in the text and the page: a stage's load and its results. */
export const stageHead = [
  'model',
  'load',
  'requests',
  'failed',
  'req/s',
  'good/s',
  'tokens/s',
  'at once',
  'lag p99 ms',
] as const;

export function stageRow(stage: Stage): string[] {
  return [
    stage.target.label,
    describeLoad(stage.load),
    String(stage.requests),
    String(stage.requests - stage.completed),
    short(stage.requestsPerSecond),
    short(stage.goodRequestsPerSecond),
    short(stage.outputTokensPerSecond),
    String(stage.maxConcurrent),
    short(stage.lag?.p99),
  ];
}
