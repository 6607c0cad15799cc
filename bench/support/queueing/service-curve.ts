/** Milliseconds of a step by the number of sequences in it. */
export type ServiceCurve = (sequences: number) => number;

/**
 * Interpolates the measurements: linear between two, constant beyond the last.
 * @param measured sequences in progress and the tokens per second of all together, in ascending order of sequences
 */
export function serviceCurve(
  measured: readonly { sequences: number; tokensPerSecond: number }[],
): ServiceCurve {
  const points = measured.map(({ sequences, tokensPerSecond }) => ({
    sequences,
    stepMs: (1000 * sequences) / tokensPerSecond,
  }));
  return (sequences) => {
    const above = points.findIndex((point) => point.sequences >= sequences);
    if (above === 0) return points[0]!.stepMs;
    if (above < 0) return points.at(-1)!.stepMs;
    const [low, high] = [points[above - 1]!, points[above]!];
    const share = (sequences - low.sequences) / (high.sequences - low.sequences);
    return low.stepMs + share * (high.stepMs - low.stepMs);
  };
}
