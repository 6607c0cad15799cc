import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { importCircles, sourceGraph } from '../../scripts/structure/source-graph.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function tree(files: Record<string, string>): Promise<string> {
  const root = await temporaryFolder();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
}

it('finds importers, workers and circles', async () => {
  const graph = sourceGraph(
    await tree({
      'src/a.ts': "import { b } from './deep/b.ts';\nimport type { D } from './d.ts';\n",
      'src/deep/b.ts': "import { c } from './c.ts';\nexport const b = c;\n",
      'src/deep/c.ts': "const late = () => import('../a.ts');\n",
      'src/d.ts': "new Worker(new URL('./e.ts', import.meta.url));\n",
      'src/e.ts': "import type { D } from './d.ts';\n",
    }),
  );
  expect(graph.get('src/deep/b.ts')).toMatchObject({ lines: 2, importers: new Set(['src/a.ts']) });
  expect(graph.get('src/e.ts')!.importers).toEqual(new Set(['src/d.ts']));
  // Starting a worker does not count as an import.
  expect(importCircles(graph)).toEqual([['src/a.ts', 'src/deep/b.ts', 'src/deep/c.ts']]);
});
