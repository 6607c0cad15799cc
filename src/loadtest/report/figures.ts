/** Three significant digits without an exponent; `-` if there is no value. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '-';
  return String(value >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
}

/** A ratio such as `1.25×`. */
export const times = (ratio: number | null) => (ratio === null ? '-' : `${ratio.toFixed(2)}×`);
