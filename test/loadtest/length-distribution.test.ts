import { expect, it } from 'vitest';
import { parseLengths } from '../../src/loadtest/load/length-distribution.ts';
import { randomStream } from '../../src/loadtest/load/random-stream.ts';

function lengths(text: string): number[] {
  const random = randomStream(3, 'prompt lengths');
  const draw = parseLengths('--output-tokens', text);
  return Array.from({ length: 4000 }, () => draw(random)).sort((a, b) => a - b);
}

it('a number is always itself', () => {
  expect(new Set(lengths('32'))).toEqual(new Set([32]));
  expect(new Set(lengths('fixed:7'))).toEqual(new Set([7]));
});

it('uniform gives every length between its ends, each about as often', () => {
  const found = lengths('uniform:3,6');
  expect(new Set(found)).toEqual(new Set([3, 4, 5, 6]));
  for (const length of [3, 4, 5, 6]) {
    const share = found.filter((each) => each === length).length / found.length;
    expect(Math.abs(share - 0.25)).toBeLessThan(0.03);
  }
});

it('lognormal has its median and spread, and a largest length where one is given', () => {
  const found = lengths('lognormal:100,0.5');
  expect(Math.abs(found[2000]! - 100)).toBeLessThan(5);
  // The quantile one standard deviation above the median.
  expect(Math.abs(found[Math.floor(4000 * 0.841)]! / (100 * Math.exp(0.5)) - 1)).toBeLessThan(0.06);
  expect(Math.max(...lengths('lognormal:100,0.5,150'))).toBe(150);
  expect(Math.min(...lengths('lognormal:1,3'))).toBe(1);
});

it.each(['', '0', '1.5', 'uniform:5', 'uniform:6,5', 'lognormal:8', 'lognormal:8,0', 'zipf:3'])(
  'refuses %j by the flag’s name',
  (text) => {
    expect(() => parseLengths('--output-tokens', text)).toThrow(
      /^--output-tokens: ".*" is not a distribution; expected/,
    );
  },
);
