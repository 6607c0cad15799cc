import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * The parts of src/ that each part may import (ARCHITECTURE.md, "Imports point one way"). A file
 * directly in src/ is a separate part.
 */
const allowed: Record<string, readonly string[]> = {
  'errors.ts': [],
  'is-running.ts': [],
  config: ['errors.ts', 'catalog/manifest.ts', 'runtime/execution-providers.ts'],
  catalog: ['errors.ts'],
  sampling: [],
  runtime: ['sampling', 'catalog', 'errors.ts'],
  engine: ['runtime', 'sampling', 'catalog', 'errors.ts'],
  observability: ['engine', 'catalog', 'errors.ts', 'config'],
  http: ['engine', 'sampling', 'catalog', 'observability', 'errors.ts', 'config'],
  export: ['catalog', 'errors.ts', 'is-running.ts'],
  hub: ['errors.ts', 'catalog', 'is-running.ts'],
  loadtest: ['sampling', 'errors.ts'],
  // From the exporter, the service only imports the function that creates a missing export.
  service: [
    'http',
    'engine',
    'catalog',
    'observability',
    'errors.ts',
    'config',
    'runtime',
    'hub',
    'export/export-checkpoint.ts',
    'export/export-thread.ts',
    'export/time-left.ts',
  ],
  // Code that runs in a browser.
  ui: [],
  cli: ['service', 'hub', 'catalog', 'config', 'observability', 'errors.ts', 'export', 'loadtest'],
  'cli.ts': ['cli', 'errors.ts'],
};

const root = join(import.meta.dirname, '../../src');
const partOf = (file: string) => relative(root, file).split('/')[0] ?? '';

/** Sources that `file` imports, statically, dynamically or as a worker. */
function importsOf(file: string): string[] {
  const specifier = /(?:from|import\(|import|new URL\()\s*'(\.[^']+)'/g;
  return [...readFileSync(file, 'utf8').matchAll(specifier)]
    .map((match) => normalize(join(dirname(file), match[1] ?? '')))
    .filter((target) => /\.[jt]s$/.test(target));
}

describe('imports point one way', () => {
  const files = globSync('**/*.{js,ts}', { cwd: root }).map((file) => join(root, file));

  it('finds the sources', () => {
    expect(files.length).toBeGreaterThan(20);
  });

  it.each(files.map((file) => relative(root, file)))('%s', (name) => {
    const file = join(root, name);
    const rule = allowed[partOf(file)];
    expect(rule, `no import rule for ${partOf(file)}`).toBeDefined();
    for (const target of importsOf(file)) {
      const part = partOf(target);
      const isAllowed =
        part === partOf(file) ||
        rule?.some((allowedPart) => allowedPart === part || relative(root, target) === allowedPart);
      expect(isAllowed, `${name} imports ${relative(root, target)}`).toBe(true);
    }
  });
});
