import { describe, expect, it } from 'vitest';
import { atEqualLoss } from '../../bench/study/equal-loss.ts';

const quality = (variant: string, loss: number) => ({ variant, loss, parameters: 1 });
const speed = (variant: string, time: number) => ({
  shape: 'Base' as const,
  variant,
  bytes: 1,
  decode: [time, time, time] as [number, number, number],
});

describe('speed at equal loss', () => {
  const speeds = [speed('dense2x', 4), speed('altup-k2', 1.1), speed('worse', 1), speed('best', 1.2)];
  const found = atEqualLoss(
    [
      quality('dense', 3.7),
      quality('dense2x', 3.5),
      quality('altup-k2', 3.6),
      quality('worse', 3.8),
      quality('best', 3.4),
      quality('unmeasured', 3.6),
    ],
    speeds,
    'Base',
  );

  it('finds the dense model half-way, in the logarithm of time', () => {
    expect(found.find(({ variant }) => variant === 'altup-k2')).toEqual({
      variant: 'altup-k2',
      time: 1.1,
      denseTime: 2,
    });
  });

  it('has no dense model for a loss that none of them reached or had', () => {
    expect(found.filter(({ denseTime }) => denseTime === null).map(({ variant }) => variant)).toEqual([
      'worse',
      'best',
    ]);
  });

  it('leaves out the dense models themselves and what was not measured', () => {
    expect(found.map(({ variant }) => variant)).toEqual(['altup-k2', 'worse', 'best']);
  });

  it('says nothing where dense2x is no better than dense', () => {
    expect(atEqualLoss([quality('dense', 3), quality('dense2x', 3)], speeds, 'Base')).toEqual([]);
  });
});
