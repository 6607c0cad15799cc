import { describeLoad } from '../plan/plan.ts';
import type { Stage } from '../stage.ts';

/** A model's figures divided by a baseline's under the same load. */
export interface Comparison {
  model: string;
  baseline: string;
  load: string;
  /** null if one of them has no such figure. */
  ratios: Record<string, number | null>;
}

/** The compared figures. Less is better, except for throughput. */
export const comparedFigures: Record<string, (stage: Stage) => number | null | undefined> = {
  'TTFT p50': ({ ttft }) => ttft?.p50,
  'TTFT p99': ({ ttft }) => ttft?.p99,
  'ITL p50': ({ itl }) => itl?.p50,
  'ITL p99': ({ itl }) => itl?.p99,
  'E2E p50': ({ e2e }) => e2e?.p50,
  'E2E p99': ({ e2e }) => e2e?.p99,
  'tokens/s': ({ outputTokensPerSecond }) => outputTokensPerSecond,
};

/** Compares every stage of a model with each baseline's under the same load. */
export function compareWithBaselines(stages: readonly Stage[]): Comparison[] {
  const baselines = stages.filter(({ target }) => target.isBaseline);
  return stages
    .filter(({ target }) => !target.isBaseline)
    .flatMap((stage) => {
      const load = describeLoad(stage.load);
      return baselines
        .filter(
          (baseline) => describeLoad(baseline.load) === load && baseline.target.url === stage.target.url,
        )
        .map((baseline) => ({
          model: stage.target.label,
          baseline: baseline.target.label,
          load,
          ratios: Object.fromEntries(
            Object.entries(comparedFigures).map(([name, figure]) => [
              name,
              ratio(figure(stage), figure(baseline)),
            ]),
          ),
        }));
    });
}

const ratio = (a: number | null | undefined, b: number | null | undefined) => (a && b ? a / b : null);
