import { expect, it } from 'vitest';
import { schemaExpectation } from '../../src/http/errors/validation-error.ts';
import { eachSamplingNumber } from '../../src/sampling/sampling-request.ts';
import { readDoc, tableRows } from '../support/markdown-table.ts';

it('docs/api.md has every sampling number as it is declared, in the same order, and no other', () => {
  const rows = Object.values(
    eachSamplingNumber(({ field, neutral, description, ...schema }) => [
      `\`${field}\``,
      schemaExpectation(schema),
      String(neutral),
      description,
    ]),
  );
  const written = tableRows(readDoc('api.md'), ['field', 'values', 'neutral', 'effect']);
  expect(written, rows.map((row) => `| ${row.join(' | ')} |`).join('\n')).toEqual(rows);
});
