/**
 * The n-th highest of the first `count` values (n from 1), by quickselect: expected time proportional to `count`,
 * whatever n is. Reorders them.
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
    // Now low..right ≥ pivot ≥ left..high, and what lies between the two equals it.
    if (target <= right) high = right;
    else if (target >= left) low = left;
    else return pivot;
  }
  return values[target]!;
}

function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
