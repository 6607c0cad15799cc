import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { requestPath } from './structure/request-path.ts';
import { importCircles, sourceGraph } from './structure/source-graph.ts';

const usage = `Usage: node scripts/structure.ts [checkout] [--list]

Counts how the sources of a checkout are cut: files, their sizes, who imports whom, and what one streamed completion
runs. --list names the files of that path, and those that the other counts are about.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const root = positionals[0] ?? join(import.meta.dirname, '..');

const graph = sourceGraph(root);
const sizes = [...graph.values()].map(({ lines }) => lines).sort((a, b) => a - b);
const slivers = [...graph].filter(([, { lines, importers }]) => lines <= 30 && importers.size === 1);
const folders = Map.groupBy(graph.keys(), (path) => path.slice(0, path.lastIndexOf('/')));
const crowded = [...folders].filter(([, files]) => files.length > 12);
const circles = importCircles(graph);
const path = await requestPath(root, 'austen-t5-dense');
const functions = [...path.values()].reduce((sum, { length }) => sum + length, 0);

console.table({
  'files in src': graph.size,
  'lines, median': sizes[Math.floor(sizes.length / 2)],
  'lines, largest': sizes.at(-1),
  'files of at most 30 lines with one importer': slivers.length,
  'folders of more than 12 files': crowded.length,
  'import circles': circles.length,
  'files one streamed completion runs': path.size,
  'functions it runs': functions,
});
if (values.list) {
  const list = (title: string, lines: readonly string[]) =>
    process.stdout.write(`\n${title}\n${lines.map((line) => `  ${line}`).join('\n')}\n`);
  list('One streamed completion', [...path].map(([file, names]) => `${file} ${names.length}`).sort());
  list('At most 30 lines, one importer', slivers.map(([file]) => file).sort());
  list('More than 12 files', crowded.map(([folder, files]) => `${folder} ${files.length}`).sort());
  list(
    'Circles',
    circles.map((circle) => circle.join(' ')),
  );
  list(
    'Largest',
    [...graph].filter(([, { lines }]) => lines > 250).map(([file, { lines }]) => `${file} ${lines}`),
  );
}
