import type { EqualLoss } from './equal-loss.ts';
import type { Quality } from './quality.ts';
import { type Relative, relativeText } from './relative.ts';
import type { Speed } from './speed.ts';

/** One of the paper's findings (arXiv 2301.13310) and whether it shows in these figures. */
export interface Finding {
  claim: string;
  holds: boolean;
  figures: string;
}

type Both = { qualities: readonly Quality[]; speeds: readonly Speed[]; equal: readonly EqualLoss[] };

/** Checks the paper's findings against the data; leaves out findings without figures. */
export function findings({ qualities, speeds, equal }: Both): Finding[] {
  const loss = (name: string) => qualities.find(({ variant }) => variant === name)?.loss ?? Number.NaN;
  const times = (what: 'decode' | 'encode', name: string): Relative =>
    speeds.find(({ variant, shape }) => variant === name && shape === 'Base')?.[what] ?? [
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ];
  const time = (what: 'decode' | 'encode', name: string) => times(what, name)[0];
  const better = (claim: string, names: readonly [string, string]): Finding => {
    const [good, bad] = names.map(loss) as [number, number];
    return { claim, holds: good < bad, figures: `loss ${good.toFixed(3)} against ${bad.toFixed(3)}` };
  };
  const found: Finding[] = [
    better('AltUp with two blocks is better than the dense model of its layer width', ['altup-k2', 'dense']),
    better('four blocks are better than two', ['altup-k4', 'altup-k2']),
    better('alternating blocks are better than always the same', ['altup-k2', 'sameup-k2']),
    better('Recycled-AltUp, with hardly a parameter more, is better than dense', ['recycled-k2', 'dense']),
    better('Sequence-AltUp is better than stride-and-skip', ['sequence-altup', 'stride-skip']),
    better('Sequence-AltUp is better than average pooling', ['sequence-altup', 'average-pool']),
    better('sparse experts are better than none', ['moe', 'dense']),
    better('AltUp and experts add up', ['altup-moe', 'moe']),
    {
      claim: 'Recycled-AltUp costs almost no time',
      holds: Math.max(time('decode', 'recycled-k2'), time('encode', 'recycled-k2')) <= 1.05,
      // The claim is about a few hundredths; the spread of the rounds says how far to trust it.
      figures: `decode ${relativeText(times('decode', 'recycled-k2'))}, encode ${relativeText(times('encode', 'recycled-k2'))} of dense`,
    },
    {
      claim: 'AltUp with two blocks is far cheaper than twice the width',
      holds: time('decode', 'altup-k2') < 0.67 * time('decode', 'dense2x'),
      figures: `decode ${time('decode', 'altup-k2').toFixed(2)} against ${time('decode', 'dense2x').toFixed(2)} of dense`,
    },
    {
      claim: 'Sequence-AltUp is at least 40 % faster than dense where it works, the encoder',
      holds: time('encode', 'sequence-altup') <= 1 / 1.4,
      figures: `${(1 / time('encode', 'sequence-altup')).toFixed(2)} times as fast`,
    },
  ];
  const own = equal.find(({ variant }) => variant === 'altup-k2');
  if (own?.denseTime) {
    found.push({
      claim: 'AltUp with two blocks is faster than a dense model of equal loss',
      holds: own.denseTime > own.time,
      figures: `${(own.denseTime / own.time).toFixed(2)} times as fast in decoding`,
    });
  }
  return found.filter(({ figures }) => !figures.includes('NaN'));
}
