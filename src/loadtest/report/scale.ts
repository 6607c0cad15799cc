/** From values to a place between 0 and 1, with round values to mark. */
export interface Scale {
  place(value: number): number;
  ticks: readonly number[];
}

/** From zero to a round value at or above the largest. */
export function linearScale(largest: number): Scale {
  const step = roundStep((largest || 1) / 4);
  const count = Math.max(1, Math.ceil((largest || 1) / step - 1e-9));
  const end = count * step;
  return {
    place: (value) => value / end,
    ticks: Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12))),
  };
}

/** 1, 2 or 5 times a power of ten, at or above `least`. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9)) ?? 10) * power;
}

/** From the 1, 2 or 5 times a power of ten below the smallest to the one above the largest; both above 0. */
export function logScale(smallest: number, largest: number): Scale {
  const rounds: number[] = [];
  const from = Math.floor(Math.log10(smallest));
  for (let power = from; power <= Math.ceil(Math.log10(largest)) + 1; power += 1) {
    for (const factor of [1, 2, 5]) rounds.push(Number((factor * 10 ** power).toPrecision(3)));
  }
  const first = rounds.findLastIndex((round) => round <= smallest);
  const last = Math.max(
    first + 1,
    rounds.findIndex((round) => round >= largest),
  );
  const [low, high] = [Math.log(rounds[first]!), Math.log(rounds[last]!)];
  const ticks = rounds.slice(first, last + 1);
  const isCrowded = ticks.length > 7;
  return {
    place: (value) => (Math.log(value) - low) / (high - low),
    ticks: isCrowded ? ticks.filter((tick) => /^0?\.?0*1/.test(String(tick))) : ticks,
  };
}
