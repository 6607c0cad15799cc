/** Small pictures as SVG text, black on white, so that they look the same everywhere. */

export interface Bar {
  group: string;
  label: string;
  value: number;
  least: number;
  most: number;
}

export interface Dot {
  label: string;
  x: number;
  y: number;
  isBaseline: boolean;
}

const text = 'font-family="sans-serif" font-size="12" fill="#222"';
const colours = { own: '#1f5fa8', baseline: '#8a8f98' };

const escaped = (value: string) => value.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);

function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="${width / 2}" y="22" text-anchor="middle" ${text} font-weight="bold">${escaped(title)}</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

/**
 * Draws horizontal bars in groups, each with a whisker from the minimum to the maximum, and a line at 1.
 * @param left where the bars begin, to the right of all names
 */
export function barChart(title: string, bars: readonly Bar[], left = 190): string {
  const [right, row] = [780, 20];
  const highest = Math.max(1, ...bars.map(({ most }) => most));
  const x = (value: number) => left + ((right - left) * value) / highest;
  let y = 44;
  const parts: string[] = [];
  for (const group of new Set(bars.map((bar) => bar.group))) {
    parts.push(`<text x="16" y="${y + 13}" ${text} font-weight="bold">${escaped(group)}</text>`);
    for (const bar of bars.filter((each) => each.group === group)) {
      const colour = bar.label.startsWith('dense') ? colours.baseline : colours.own;
      parts.push(
        `<text x="${left - 8}" y="${y + 13}" text-anchor="end" ${text}>${escaped(bar.label)}</text>`,
        `<rect x="${left}" y="${y + 3}" width="${(x(bar.value) - left).toFixed(1)}" height="13" fill="${colour}"/>`,
        `<path d="M${x(bar.least).toFixed(1)} ${y + 9.5}H${x(bar.most).toFixed(1)}" stroke="#d1495b" stroke-width="2"/>`,
        `<text x="${x(bar.most) + 6}" y="${y + 13}" ${text}>${bar.value.toFixed(2)}</text>`,
      );
      y += row;
    }
    y += 10;
  }
  parts.push(`<path d="M${x(1).toFixed(1)} 36V${y}" stroke="#222" stroke-dasharray="3 3"/>`);
  return svg(840, y + 8, title, parts);
}

/** Draws points with their names, and a line through the baselines in the order of x. */
export function scatter(
  title: string,
  [xTitle, yTitle]: readonly [string, string],
  dots: readonly Dot[],
): string {
  const plot = { left: 70, right: 700, top: 40, bottom: 380 };
  const range = (values: readonly number[]) => {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const margin = 0.08 * (most - least || 1);
    return [least - margin, most + margin] as const;
  };
  const [xs, ys] = [range(dots.map(({ x }) => x)), range(dots.map(({ y }) => y))];
  const at = ({ x, y }: Dot) => [
    plot.left + ((plot.right - plot.left) * (x - xs[0])) / (xs[1] - xs[0]),
    plot.bottom - ((plot.bottom - plot.top) * (y - ys[0])) / (ys[1] - ys[0]),
  ];
  const line = dots
    .filter(({ isBaseline }) => isBaseline)
    .sort((a, b) => a.x - b.x)
    .map((dot) =>
      at(dot)
        .map((value) => value.toFixed(1))
        .join(','),
    );
  const corner = (value: number) => Number(value.toPrecision(3));
  return svg(840, 430, title, [
    `<path d="M${plot.left} ${plot.top}V${plot.bottom}H${plot.right}" fill="none" stroke="#999"/>`,
    `<polyline points="${line.join(' ')}" fill="none" stroke="${colours.baseline}" stroke-dasharray="4 3"/>`,
    ...dots.flatMap((dot) => {
      const [x, y] = at(dot) as [number, number];
      const colour = dot.isBaseline ? colours.baseline : colours.own;
      return [
        `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="5" fill="${colour}"/>`,
        `<text x="${(x + 9).toFixed(1)}" y="${(y + 4).toFixed(1)}" ${text}>${escaped(dot.label)}</text>`,
      ];
    }),
    `<text x="${plot.right}" y="${plot.bottom + 34}" text-anchor="end" ${text}>${escaped(xTitle)}</text>`,
    `<text x="${plot.left}" y="${plot.bottom + 16}" ${text}>${corner(xs[0])}</text>`,
    `<text x="${plot.right}" y="${plot.bottom + 16}" text-anchor="end" ${text}>${corner(xs[1])}</text>`,
    `<text x="${plot.left + 6}" y="${plot.top - 4}" ${text}>${escaped(yTitle)}</text>`,
    `<text x="${plot.left - 6}" y="${plot.top + 10}" text-anchor="end" ${text}>${corner(ys[1])}</text>`,
    `<text x="${plot.left - 6}" y="${plot.bottom}" text-anchor="end" ${text}>${corner(ys[0])}</text>`,
  ]);
}
