import { UsageError } from '../../errors.ts';
import type { Latencies } from '../load/request-record.ts';

const names = ['ttft', 'tpot', 'itl', 'e2e'] as const;
type Figure = (typeof names)[number];

/** Service level objectives: maximum milliseconds of each figure for a request to count as good. */
export type Objectives = Partial<Record<Figure, number>>;

/** @param text `ttft:200,itl:50` @throws UsageError */
export function parseObjectives(text: string): Objectives {
  const objectives: Objectives = {};
  for (const part of text.split(',')) {
    const [name, value] = part.split(':', 2).map((each) => each.trim());
    const figure = names.find((known) => known === (name === 'e2el' ? 'e2e' : name));
    const maxMs = Number(value);
    if (!figure || !(maxMs > 0)) {
      throw new UsageError(
        `--slo: "${part.trim()}" is not an objective; expected one of ${names.join(', ')}, a colon and milliseconds`,
      );
    }
    objectives[figure] = maxMs;
  }
  return objectives;
}

/** Whether every objective holds. The largest gap between tokens must meet the one for `itl`. */
export function meets({ ttft, tpot, itl, e2e }: Latencies, objectives: Objectives): boolean {
  const found: Record<Figure, number> = { ttft, tpot: tpot ?? 0, itl: Math.max(0, ...itl), e2e };
  return names.every((name) => found[name] <= (objectives[name] ?? Number.POSITIVE_INFINITY));
}
