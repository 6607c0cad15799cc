import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

// Writes the licences of all shipped components into one file: npm packages except development ones, the addon's
// crates, and Node.

interface Component {
  title: string;
  licence: string;
  from: string;
  texts: string[];
}

const isNotice = (name: string) => /^(un)?licen[cs]e|^copying|^copyright|^notice/i.test(name);

const textsIn = (folder: string) =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && isNotice(entry.name))
    .map(({ name }) => readFileSync(join(folder, name), 'utf8').trim());

/** @param app a folder with package-lock.json and the packages that `npm ci` installed from it */
function npmPackages(app: string): Component[] {
  const { packages } = JSON.parse(readFileSync(join(app, 'package-lock.json'), 'utf8'));
  const shipped = Object.entries(packages as Record<string, { dev?: boolean; optional?: boolean }>).filter(
    ([path, { dev, optional }]) => path !== '' && !dev && !optional,
  );
  return shipped.map(([path]) => {
    const folder = join(app, path);
    const { name, version, license, repository, homepage } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    );
    return {
      title: `${name} ${version} (npm)`,
      licence: license ?? 'see below',
      from: repository?.url ?? repository ?? homepage ?? `https://www.npmjs.com/package/${name}`,
      texts: textsIn(folder),
    };
  });
}

interface CargoMetadata {
  packages: {
    id: string;
    name: string;
    version: string;
    license: string | null;
    repository: string | null;
    manifest_path: string;
    source: string | null;
  }[];
  resolve: { root: string; nodes: { id: string; deps: CargoDependency[] }[] };
}

interface CargoDependency {
  pkg: string;
  dep_kinds: { kind: string | null }[];
}

/** @param native the addon's folder @returns the addon's normal and build dependencies */
function crates(native: string): Component[] {
  const metadata: CargoMetadata = JSON.parse(
    execFileSync('cargo', ['metadata', '--locked', '--format-version', '1'], {
      cwd: native,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    }),
  );
  const nodes = new Map(metadata.resolve.nodes.map(({ id, deps }) => [id, deps]));
  const reached = new Set<string>();
  const pending = [metadata.resolve.root];
  while (pending.length > 0) {
    const id = pending.pop()!;
    if (reached.has(id)) continue;
    reached.add(id);
    for (const { pkg, dep_kinds } of nodes.get(id)!)
      if (dep_kinds.some(({ kind }) => kind !== 'dev')) pending.push(pkg);
  }
  return metadata.packages
    .filter(({ id, source }) => source !== null && reached.has(id))
    .map(({ name, version, license, repository, manifest_path }) => ({
      title: `${name} ${version} (crate)`,
      licence: license ?? 'see below',
      from: repository ?? `https://crates.io/crates/${name}`,
      texts: textsIn(dirname(manifest_path)),
    }));
}

/** Renders each component, with a licence text that several share written once. */
function render(components: readonly Component[]): string[] {
  const titles = new Map<string, string>();
  return components.map(({ title, licence, from, texts }) => {
    const text = texts.join('\n\n') || 'The package has no licence file; its licence is named above.';
    const known = titles.get(text);
    titles.set(text, known ?? title);
    const body = known === undefined ? text : `The same text as under ${known}.`;
    return `${'='.repeat(80)}\n${title}: ${licence}\n${from}\n${'-'.repeat(80)}\n${body}\n`;
  });
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { packages: { type: 'string' }, crates: { type: 'string' }, node: { type: 'string' } },
});
const [file] = positionals;
if (file === undefined) {
  console.error(
    'usage: node scripts/write-notices.ts FILE [--packages APP] [--crates NATIVE] [--node LICENSE]',
  );
  process.exit(1);
}
const components = [
  ...(values.packages === undefined ? [] : npmPackages(values.packages)),
  ...(values.crates === undefined ? [] : crates(values.crates)),
  ...(values.node === undefined || !existsSync(values.node)
    ? []
    : [
        {
          title: `Node.js ${process.version}`,
          licence: 'MIT, and those of what it contains',
          from: 'https://nodejs.org',
          texts: [readFileSync(values.node, 'utf8').trim()],
        },
      ]),
].sort((a, b) => (a.title < b.title ? -1 : 1));
const head =
  'altup-serve is licensed under the Apache License 2.0. It contains what follows, each under its own licence.\n';
writeFileSync(file, [head, ...render(components)].join('\n'));
console.log(`${file}: ${components.length} components`);
