import { type Precision, precisions } from '../catalog/manifest.ts';
import { ConfigurationError } from '../errors.ts';

/**
 * The precisions of a list separated by commas, in its order.
 * @param source the variable or flag the text comes from
 * @throws ConfigurationError for an unknown one, or one given twice
 */
export function parsePrecisions(source: string, text: string): Precision[] {
  const found: Precision[] = [];
  for (const name of text.split(',').map((part) => part.trim())) {
    const precision = precisions.find((known) => known === name);
    const problem =
      precision === undefined ? 'is not valid' : found.includes(precision) ? 'is there twice' : '';
    if (precision === undefined || problem !== '') {
      const expected = `${precisions.join(', ')}, or several of them separated by commas`;
      throw new ConfigurationError(`${source}: '${name.slice(0, 100)}' ${problem}; expected ${expected}`);
    }
    found.push(precision);
  }
  return found;
}
