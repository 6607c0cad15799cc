import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

export interface Source {
  lines: number;
  imports: Set<string>;
  /** Sources that import this one, or start it as a worker or process. */
  importers: Set<string>;
}

/** All TypeScript files under src/, by path relative to `root`. */
export function sourceGraph(root: string): Map<string, Source> {
  const graph = new Map<string, Source>();
  const started = new Map<string, Set<string>>();
  for (const path of globSync('src/**/*.ts', { cwd: root })) {
    const text = readFileSync(join(root, path), 'utf8');
    const named = (pattern: RegExp) =>
      new Set([...text.matchAll(pattern)].map(([, target]) => normalize(join(dirname(path), target!))));
    const imports = named(/(?:from|import\(|import)\s*'(\.[^']+\.ts)'/g);
    started.set(path, named(/new URL\(\s*'(\.[^']+\.ts)'/g));
    graph.set(path, { lines: text.split('\n').length - 1, imports, importers: new Set() });
  }
  for (const [path, { imports }] of graph)
    for (const target of imports.union(started.get(path)!)) graph.get(target)?.importers.add(path);
  return graph;
}

/** Groups of sources that import one another, directly or indirectly (Tarjan's strongly connected components). */
export function importCircles(graph: ReadonlyMap<string, Source>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (path: string): void => {
    index.set(path, index.size);
    low.set(path, index.get(path)!);
    stack.push(path);
    for (const next of graph.get(path)!.imports) {
      if (!graph.has(next)) continue;
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(path, Math.min(low.get(path)!, low.get(next)!));
    }
    if (low.get(path) !== index.get(path)) return;
    const circle = stack.splice(stack.indexOf(path));
    if (circle.length > 1) circles.push(circle.sort());
  };
  for (const path of graph.keys()) if (!index.has(path)) visit(path);
  return circles;
}
