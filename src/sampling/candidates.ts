import { topWeight, weight } from './weight.ts';

/**
 * The tokens that may come next, with their logits and later their weights, always in ascending order of id. "Highest"
 * means by value, and among equal values the lower id first. One instance serves all tokens, because its arrays are as
 * long as the vocabulary.
 */
export class Candidates {
  #count = 0;
  readonly #ids: Int32Array;
  readonly #values: Float64Array;
  readonly #scratch: Float64Array;
  readonly #topWeight: number;

  constructor(vocabSize: number) {
    this.#ids = new Int32Array(vocabSize);
    this.#values = new Float64Array(vocabSize);
    this.#scratch = new Float64Array(vocabSize);
    this.#topWeight = topWeight(vocabSize);
  }

  /** Resets to all tokens. */
  load(logits: Float64Array): void {
    this.#count = logits.length;
    this.#values.set(logits);
    for (let i = 0; i < this.#count; i++) this.#ids[i] = i;
  }

  /** Keeps the `n` highest. */
  keepHighest(n: number): void {
    if (n >= this.#count) return;
    this.#scratch.set(this.#values.subarray(0, this.#count));
    this.#keepFrom(nthHighest(this.#scratch, this.#count, n), n);
  }

  /** Turns logits into weights: exp((logit − highest logit) / temperature) as a share of the top weight. */
  weigh(temperature: number): void {
    const values = this.#values;
    let highest = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < this.#count; i++) if (values[i]! > highest) highest = values[i]!;
    for (let i = 0; i < this.#count; i++)
      values[i] = weight((values[i]! - highest) / temperature, this.#topWeight);
  }

  /** Keeps logits of at least `minimum`. */
  keepAtLeast(minimum: number): void {
    this.#keepFrom(minimum, Number.POSITIVE_INFINITY);
  }

  /** Keeps weights of at least `share` of the top weight. */
  keepLikely(share: number): void {
    this.#keepFrom(share * this.#topWeight, Number.POSITIVE_INFINITY);
  }

  /** Keeps the smallest number of highest weights whose sum reaches `share` of the total; at least one. */
  keepNucleus(share: number): void {
    const total = this.#total();
    // Weights up to this bound sum to at most half of what may go, so the rest suffices; few to sort.
    const bound = ((1 - share) * total) / (2 * this.#count);
    let sorted = 0;
    for (let i = 0; i < this.#count; i++) {
      if (this.#values[i]! > bound) this.#scratch[sorted++] = this.#values[i]!;
    }
    this.#scratch.subarray(0, sorted).sort();
    let kept = 0;
    for (let sum = 0; kept < sorted && (kept === 0 || sum < share * total); kept++) {
      sum += this.#scratch[sorted - 1 - kept]!;
    }
    if (kept > 0) this.#keepFrom(this.#scratch[sorted - kept]!, kept);
  }

  /**
   * Draws a token: inverts the cumulative distribution in ascending order of id.
   * @param u uniform in (0, 1)
   */
  draw(u: number): number {
    const target = u * this.#total();
    let sum = 0;
    let last = 0;
    for (let i = 0; i < this.#count; i++) {
      if (this.#values[i] === 0) continue;
      sum += this.#values[i]!;
      last = this.#ids[i]!;
      if (sum > target) break;
    }
    return last;
  }

  #total(): number {
    let sum = 0;
    for (let i = 0; i < this.#count; i++) sum += this.#values[i]!;
    return sum;
  }

  /** Keeps values above `threshold`, then those equal to it from the lowest id on, at most `n` in all. */
  #keepFrom(threshold: number, n: number): void {
    let above = 0;
    for (let i = 0; i < this.#count; i++) if (this.#values[i]! > threshold) above++;
    let equal = n - above;
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      const value = this.#values[i]!;
      if (value < threshold || (value === threshold && equal-- <= 0)) continue;
      this.#values[kept] = value;
      this.#ids[kept++] = this.#ids[i]!;
    }
    this.#count = kept;
  }
}

/**
 * The n-th highest of the first `count` values (n from 1), by quickselect: expected time proportional to `count` for
 * any n. Reorders the values.
 */
export function nthHighest(values: Float64Array, count: number, n: number): number {
  const target = n - 1;
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const pivot = medianOfThree(values[low]!, values[(low + high) >>> 1]!, values[high]!);
    let left = low;
    let right = high;
    while (left <= right) {
      while (values[left]! > pivot) left++;
      while (values[right]! < pivot) right--;
      if (left > right) break;
      const swapped = values[left]!;
      values[left] = values[right]!;
      values[right] = swapped;
      left++;
      right--;
    }
    // Now low..right ≥ pivot ≥ left..high, and a value between the two equals it.
    if (target <= right) high = right;
    else if (target >= left) low = left;
    else return pivot;
  }
  return values[target]!;
}

function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
