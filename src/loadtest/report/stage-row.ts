import { describeLoad } from '../plan/plan.ts';
import type { Stage } from '../stage.ts';
import { short } from './figures.ts';

/** What a stage was asked and what came of it: a row of the first table, on paper and in the page. */
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
