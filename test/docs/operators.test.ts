import { expect, it } from 'vitest';
import { operators } from '../../src/export/altup/functions.ts';
import { plain, readDoc, tableRows } from '../support/markdown-table.ts';

const quoted = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, word]) => word);

// The test of native/src/ops/mod.rs holds the same table to the kernels.
it('docs/graphs.md describes every operator of ai.altup with its attributes, and no other', () => {
  const rows = tableRows(readDoc('graphs.md'), ['operator', 'inputs', 'output', 'attributes']);
  const described = new Map(rows.map(([name, , , attributes]) => [plain(name!), quoted(attributes!)]));
  expect([...described.keys()].sort()).toEqual(operators.map(({ name }) => name).sort());
  for (const { name, attributes } of operators) {
    expect(described.get(name), name).toEqual(expect.arrayContaining([...attributes]));
  }
});
