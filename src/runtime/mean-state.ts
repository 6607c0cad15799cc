/**
 * The mean of an encoder's final states, added up in float64.
 * @param states one after another, each with `width` numbers
 * @throws Error if a number is not finite
 */
export function meanState(states: Float32Array, width: number): Float32Array {
  const sums = new Float64Array(width);
  for (let start = 0; start < states.length; start += width) {
    for (let i = 0; i < width; i += 1) sums[i]! += states[start + i]!;
  }
  const count = states.length / width;
  const mean = Float32Array.from(sums, (sum) => sum / count);
  if (mean.every(Number.isFinite)) return mean;
  throw new Error('the encoder computed a state that is not finite');
}
