/** One line over time. */
export interface LineChart {
  title: string;
  /** [minutes, value], in chronological order. */
  points: readonly (readonly [number, number])[];
}

const width = 820;
const panelHeight = 130;
const plot = { left: 60, right: 20, top: 30, bottom: 24 };
const text = 'font-family="sans-serif" font-size="12" fill="#333"';

/** Draws charts below one another over the same minutes, each from zero to its maximum, as an SVG image. */
export function lineCharts(heading: string, charts: readonly LineChart[]): string {
  const height = 40 + charts.length * panelHeight;
  const minutes = Math.max(...charts.flatMap(({ points }) => points.map(([minute]) => minute)));
  const panels = charts.map((chart, i) => panel(chart, 40 + i * panelHeight, minutes));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="${width / 2}" y="22" text-anchor="middle" ${text} font-weight="bold">${escaped(heading)}</text>`,
    ...panels,
    '</svg>',
    '',
  ].join('\n');
}

function panel({ title, points }: LineChart, y: number, minutes: number): string {
  const highest = Math.max(...points.map(([, value]) => value)) || 1;
  const right = width - plot.right;
  const bottom = y + panelHeight - plot.bottom;
  const x = (minute: number) => plot.left + ((right - plot.left) * minute) / minutes;
  const yOf = (value: number) => bottom - ((bottom - y - plot.top) * value) / highest;
  const line = points.map(([minute, value]) => `${x(minute).toFixed(1)},${yOf(value).toFixed(1)}`).join(' ');
  return [
    `<text x="${plot.left}" y="${y + 18}" ${text}>${escaped(title)}</text>`,
    `<path d="M${plot.left} ${y + plot.top}V${bottom}H${right}" fill="none" stroke="#999"/>`,
    `<text x="${plot.left - 6}" y="${y + plot.top + 4}" text-anchor="end" ${text}>${short(highest)}</text>`,
    `<text x="${plot.left - 6}" y="${bottom + 4}" text-anchor="end" ${text}>0</text>`,
    `<text x="${right}" y="${bottom + 16}" text-anchor="end" ${text}>${short(minutes)} min</text>`,
    `<polyline points="${line}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>`,
  ].join('\n');
}

const short = (value: number) => String(Number(value.toPrecision(3)));
const escaped = (value: string) => value.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
