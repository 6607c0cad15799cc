import { expect, it } from 'vitest';
import { configRows } from '../../src/config/config.ts';
import { providerNames } from '../../src/runtime/execution-providers.ts';
import { plain, readDoc, tableRows } from '../support/markdown-table.ts';

it('docs/configuration.md has every setting, and no other', () => {
  const rows = tableRows(readDoc('configuration.md'), ['variable', 'flag', 'default', 'meaning']);
  expect(rows.length).toBeGreaterThan(15);
  expect(
    rows.map(([variable, flag, fallback, description]) => ({
      variable: plain(variable!),
      flag: plain(flag!),
      default: plain(fallback!),
      description,
    })),
  ).toEqual(configRows());
});

it('docs/configuration.md describes every execution provider, and no other', () => {
  const rows = tableRows(readDoc('configuration.md'), ['provider', 'backend', 'needs', 'notes']);
  expect(rows.map(([name]) => plain(name!))).toEqual(providerNames);
});
