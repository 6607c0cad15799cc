/** The maximum |actual − expected|; infinite if a value is NaN or the lengths differ. */
export function worstDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let n = 0; n < expected.length; n += 1) {
    const difference = Math.abs(actual[n]! - expected[n]!);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, difference);
  }
  return worst;
}
