import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { readDoc, tableRows } from '../support/markdown-table.ts';

const script = join(import.meta.dirname, '../../src/cli.ts');
const help = async (...args: string[]) =>
  (await promisify(execFile)(process.execPath, [script, 'help', ...args])).stdout;

it.each([[[]], [['chat']], [['complete']]])('docs/cli.md has what altup help %j prints', async (args) => {
  expect(readDoc('cli.md')).toContain(`\`\`\`text\n${await help(...args)}\`\`\``);
});

it('README.md has every command, and no other', async () => {
  const rows = tableRows(readDoc('../README.md'), ['command', 'does']);
  const described = rows.map(([command]) => /altup (\w+)/.exec(command!)![1]);
  const listed = [...(await help()).matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name);
  expect(described.sort()).toEqual(listed.sort());
});
