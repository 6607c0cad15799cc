import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { plain, tableRows } from '../support/markdown-table.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const pages = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'SECURITY.md',
  ...globSync('docs/*.md', { cwd: root }),
];

describe('README.md', () => {
  it('has every shipped model with the figures measured when it was trained', () => {
    const rows = tableRows(read('README.md'), ['model', 'what it is', 'parameters', 'held-out loss']);
    const shipped = globSync('models/*/training.json', { cwd: root }).map((file) => {
      const { parameters, held_out_loss } = JSON.parse(read(file));
      const name = basename(dirname(file));
      return [name, parameters.total.toLocaleString('en'), held_out_loss.toFixed(3)];
    });
    expect(shipped.length).toBeGreaterThanOrEqual(6);
    expect(rows.map(([model, , parameters, loss]) => [plain(model!), parameters, loss]).sort()).toEqual(
      shipped.sort(),
    );
  });
});

describe.each(pages)('%s', (page) => {
  const text = read(page);

  it('names only npm scripts that exist', () => {
    for (const [, script] of text.matchAll(/npm run ([\w:]+)/g))
      expect(packageJson.scripts).toHaveProperty(script!);
  });

  it('links only to files that exist', () => {
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      expect(existsSync(join(root, dirname(page), target!)), `${page}: ${target}`).toBe(true);
    }
  });

  it('names only sources that exist', () => {
    const folders = ['', 'src', 'docs'];
    for (const [, path] of text.matchAll(/`((?:[\w-]+\/)*[\w-]+\.(?:ts|py|json|md))`/g)) {
      if (!path!.includes('/')) continue;
      expect(
        folders.some((folder) => existsSync(join(root, folder, path!))),
        `${page}: ${path}`,
      ).toBe(true);
    }
  });
});

describe('ARCHITECTURE.md', () => {
  it('has a line for every folder of the sources', () => {
    const rows = tableRows(read('ARCHITECTURE.md'), ['folder', 'holds']);
    const listed = rows.map(([folder]) => plain(folder!));
    expect(listed.filter((folder) => folder.startsWith('src/')).sort()).toEqual(
      globSync('src/*/', { cwd: root })
        .map((folder) => folder.replace(/\/$/, ''))
        .sort(),
    );
    for (const folder of listed) expect(existsSync(join(root, folder)), folder).toBe(true);
  });
});
