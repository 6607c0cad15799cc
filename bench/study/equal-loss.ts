import type { Quality } from './quality.ts';
import type { Speed } from './speed.ts';

/** A variant compared with the dense model that would reach the same loss. */
export interface EqualLoss {
  variant: string;
  /** Decode time relative to the dense model of the same layer width. */
  time: number;
  /** The same for a dense model of this loss; null if the loss is outside of the range from dense to dense2x. */
  denseTime: number | null;
}

/**
 * Computes speed at equal loss. Assumes that the loss of dense models falls with the logarithm of their decode time,
 * along the line through dense and dense2x, and compares each variant with the point of that line at its own loss.
 */
export function atEqualLoss(
  qualities: readonly Quality[],
  speeds: readonly Speed[],
  shape: string,
): EqualLoss[] {
  const lossOf = (name: string) => qualities.find(({ variant }) => variant === name)?.loss;
  const timeOf = (name: string) =>
    speeds.find((speed) => speed.variant === name && speed.shape === shape)?.decode?.[0];
  const [narrow, wide, wideTime] = [lossOf('dense'), lossOf('dense2x'), timeOf('dense2x')];
  if (narrow === undefined || wide === undefined || wideTime === undefined || narrow <= wide) return [];
  return qualities.flatMap(({ variant, loss }) => {
    const time = timeOf(variant);
    if (time === undefined || variant.startsWith('dense')) return [];
    const part = (narrow - loss) / (narrow - wide);
    return [{ variant, time, denseTime: part < 0 || part > 1 ? null : wideTime ** part }];
  });
}
