import { UsageError } from '../../errors.ts';
import { normal, type RandomStream } from './random-stream.ts';

/** Draws a length, 1 or more. */
export type LengthDistribution = (random: RandomStream) => number;

const expected =
  'expected N, uniform:FROM,TO or lognormal:MEDIAN,SIGMA[,MAXIMUM], whole lengths of 1 or more';

const whole = (value: number) => Number.isInteger(value) && value >= 1;

/**
 * Parses `32` or `fixed:32`; `uniform:16,64`; `lognormal:32,0.5`, with a maximum length `lognormal:32,0.5,256`.
 * @param flag named in the error
 * @throws UsageError
 */
export function parseLengths(flag: string, text: string): LengthDistribution {
  const [kind, list] = text.includes(':') ? text.split(':', 2) : ['fixed', text];
  const numbers = (list ?? '').split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  const [first = Number.NaN, second = Number.NaN, third = Number.POSITIVE_INFINITY] = numbers;
  if (kind === 'fixed' && numbers.length === 1 && whole(first)) return () => first;
  if (kind === 'uniform' && numbers.length === 2 && whole(first) && whole(second) && first <= second) {
    return (random) => first + Math.floor(random() * (second - first + 1));
  }
  if (kind === 'lognormal' && numbers.length <= 3 && first >= 1 && second > 0 && third >= 1) {
    return (random) =>
      Math.min(Math.floor(third), Math.max(1, Math.round(first * Math.exp(second * normal(random)))));
  }
  throw new UsageError(`${flag}: "${text}" is not a distribution; ${expected}`);
}
