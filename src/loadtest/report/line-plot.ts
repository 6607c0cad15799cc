import { escaped } from './escape.ts';
import { short } from './figures.ts';

type ScaleKind = 'linear' | 'log';

export interface Series {
  label: string;
  /** Index of one of the page's colours. */
  colour: number;
  isDashed?: boolean;
  points: readonly (readonly [x: number, y: number])[];
}

export interface LinePlot {
  title: string;
  xLabel: string;
  xScale: ScaleKind;
  yScale: ScaleKind;
  series: readonly Series[];
  /** Value to mark with a horizontal line. */
  mark?: number;
  /** Draws a dot at each point, which shows its value on hover. */
  hasDots: boolean;
}

/** Fits a phone at its own size; the text of a larger plot would shrink. */
const width = 360;
const height = 240;
const inner = { left: 44, right: 348, top: 12, bottom: 196 };

/** An inline SVG image; colours come from the page's style sheet. */
export function linePlot(plot: LinePlot): string {
  const points = plot.series.flatMap((series) => series.points);
  if (points.length === 0) return '';
  const x = scaleOf(
    plot.xScale,
    points.map(([value]) => value),
  );
  const y = scaleOf(plot.yScale, [
    ...points.map(([, value]) => value),
    ...(plot.mark === undefined ? [] : [plot.mark]),
  ]);
  const toX = (value: number) => (inner.left + x.place(value) * (inner.right - inner.left)).toFixed(1);
  const toY = (value: number) => (inner.bottom - y.place(value) * (inner.bottom - inner.top)).toFixed(1);
  return [
    `<figure><figcaption>${escaped(plot.title)}</figcaption>`,
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(plot.title)}">`,
    ...axes(x, y, toX, toY),
    `<text x="${(inner.left + inner.right) / 2}" y="${height - 8}" text-anchor="middle">${escaped(plot.xLabel)}</text>`,
    plot.mark === undefined ? '' : `<path class="mark" d="M${inner.left} ${toY(plot.mark)}H${inner.right}"/>`,
    ...plot.series.map((series) => line(series, plot.hasDots, toX, toY)),
    '</svg></figure>',
  ].join('\n');
}

const scaleOf = (kind: ScaleKind, values: readonly number[]) =>
  kind === 'log' ? logScale(Math.min(...values), Math.max(...values)) : linearScale(Math.max(...values));

type ToPlace = (value: number) => string;

function axes(x: Scale, y: Scale, toX: ToPlace, toY: ToPlace): string[] {
  const tick = (value: number) => escaped(short(value));
  return [
    ...y.ticks.map((value) => `<path class="grid" d="M${inner.left} ${toY(value)}H${inner.right}"/>`),
    ...y.ticks.map(
      (value) =>
        `<text x="${inner.left - 6}" y="${toY(value)}" dy="4" text-anchor="end">${tick(value)}</text>`,
    ),
    ...x.ticks.map((value) => `<path class="grid" d="M${toX(value)} ${inner.bottom}v4"/>`),
    ...x.ticks.map(
      (value) =>
        `<text x="${toX(value)}" y="${inner.bottom + 17}" text-anchor="middle">${tick(value)}</text>`,
    ),
  ];
}

function line(
  { label, colour, isDashed, points }: Series,
  hasDots: boolean,
  toX: ToPlace,
  toY: ToPlace,
): string {
  const places = points.map(([x, y]) => `${toX(x)},${toY(y)}`).join(' ');
  const dots = points.map(
    ([x, y]) =>
      `<circle class="c${colour}" cx="${toX(x)}" cy="${toY(y)}" r="2.5"><title>${escaped(`${label}: ${short(x)}, ${short(y)}`)}</title></circle>`,
  );
  return [
    `<polyline class="c${colour}${isDashed ? ' dashed' : ''}" points="${places}"/>`,
    ...(hasDots && !isDashed ? dots : []),
  ].join('');
}

/** Maps values to places between 0 and 1, with round values as ticks. */
interface Scale {
  place(value: number): number;
  ticks: readonly number[];
}

/** From zero to a round value at or above the largest. */
function linearScale(largest: number): Scale {
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

/**
 * From a round value (1, 2 or 5 times a power of ten) at or below the smallest to one at or above the largest; both
 * must be above 0.
 */
function logScale(smallest: number, largest: number): Scale {
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
