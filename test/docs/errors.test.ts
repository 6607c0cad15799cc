import { expect, it } from 'vitest';
import { errorCatalogue } from '../../src/errors.ts';
import { plain, readDoc, tableRows } from '../support/markdown-table.ts';

it('docs/errors.md has every error, and no other', () => {
  const rows = tableRows(readDoc('errors.md'), ['code', 'status', 'type', 'when']);
  const documented = rows.map(([code, status, type, when]) => [
    plain(code!),
    { status: Number(status), type: plain(type!), when },
  ]);
  expect(Object.fromEntries(documented)).toEqual(errorCatalogue);
  expect(rows).toHaveLength(Object.keys(errorCatalogue).length);
});
