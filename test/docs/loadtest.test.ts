import { expect, it } from 'vitest';
import { flagRows } from '../../src/loadtest/plan/flags.ts';
import { plain, readDoc, tableRows } from '../support/markdown-table.ts';

it('docs/loadtest.md has every flag of the command, and no other', () => {
  const rows = tableRows(readDoc('loadtest.md'), ['flag', 'default', 'meaning']);
  const escaped = (text: string) => text.replaceAll('|', '/');
  expect(rows.map(([flag, fallback, meaning]) => [plain(flag!), plain(fallback!), meaning])).toEqual(
    flagRows().map(({ flag, default: fallback, description }) => [escaped(flag), fallback, description]),
  );
});
