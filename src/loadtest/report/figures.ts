/** Three significant digits without an exponent; `-` where there is none. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '-';
  return String(value >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
}

/** A ratio with its sign as a reader compares: `1.25×`. */
export const times = (ratio: number | null) => (ratio === null ? '-' : `${ratio.toFixed(2)}×`);
