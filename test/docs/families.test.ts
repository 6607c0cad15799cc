import { expect, it } from 'vitest';
import { families } from '../../src/export/families/families.ts';
import { readDoc, tableRows } from '../support/markdown-table.ts';

it('docs/families.md lists every model_type, and no other', () => {
  const rows = tableRows(readDoc('families.md'), ['`model_type`', 'family']);
  const documented = rows.flatMap(([types]) => types!.split(', ')).map((type) => type.replaceAll('`', ''));
  expect(documented.sort()).toEqual(families.flatMap(({ modelTypes }) => modelTypes).sort());
});
