import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { cudaExports } from '../test/cuda/exports.ts';
import { getLibraries } from '../test/cuda-placement/run-on-stand-in.ts';

// Writes what checks a GPU on a Linux machine that can fetch nothing: `npm run bundle:cuda -- [--out FOLDER] [--models A,B]
// [--no-operators]`.
// Node, this program, the addon and its tests, ONNX Runtime with its CUDA provider, and exports, in parts of 60 MB, with a script
// that joins and runs them. CUDA's own libraries are the machine's.

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'cuda-bundle' },
    models: { type: 'string' },
    operators: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const root = join(import.meta.dirname, '..');
const out = resolve(values.out);

/** Packages that the checks import, with what these need. */
function packages(names: readonly string[], found = new Map<string, string>()): Map<string, string> {
  const require = createRequire(join(root, 'package.json'));
  for (const name of names) {
    if (found.has(name)) continue;
    const folder = require.resolve
      .paths(name)!
      .map((path) => join(path, name))
      .find((path) => globSync('package.json', { cwd: path }).length > 0)!;
    found.set(name, folder);
    const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    packages(Object.keys(dependencies), found);
  }
  return found;
}

/** The program with the addon's tests, as cargo builds it. */
function testBinary(): string {
  const arguments_ = ['test', '--release', '--locked', '--lib', '--no-run', '--message-format=json'];
  const lines = execFileSync('cargo', arguments_, {
    cwd: join(root, 'native'),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 28,
  });
  const built = lines.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  return built.findLast(({ executable }) => executable)!.executable;
}

const staged = mkdtempSync(join(tmpdir(), 'altup-cuda-bundle-'));
const app = join(staged, 'app');
const put = (from: string, to: string) => cpSync(from, join(app, to), { recursive: true, dereference: true });

console.log('building the addon');
execFileSync(process.execPath, ['scripts/build-native.ts'], { cwd: root, stdio: 'inherit' });

console.log('exporting models');
const models = values.models?.split(',');
for (const folder of await cudaExports(models)) put(folder, relative(root, folder));

const sources = ['package.json', 'src', 'bench', 'scripts', 'test/support', 'test/cuda'];
const tracked = execFileSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard', '--', ...sources],
  {
    cwd: root,
    encoding: 'utf8',
  },
);
for (const file of tracked.split('\n').filter((name) => /\.(ts|json)$/.test(name)))
  put(join(root, file), file);
for (const [name, folder] of packages(['typebox', '@bufbuild/protobuf', 'onnx-buf']))
  put(folder, `node_modules/${name}`);
const runtime = join(root, 'node_modules/onnxruntime-node');
for (const part of ['package.json', 'dist'])
  put(join(runtime, part), `node_modules/onnxruntime-node/${part}`);
const [binaries] = globSync('bin/napi-v*/linux/x64', { cwd: runtime });
const libraries = getLibraries();
for (const library of globSync('libonnxruntime*.so*', { cwd: libraries }))
  put(join(libraries, library), `node_modules/onnxruntime-node/${binaries}/${library}`);
for (const addon of globSync('altup-native.*.node', { cwd: join(root, 'native') }))
  put(join(root, 'native', addon), `native/${addon}`);
if (values.operators) {
  put(testBinary(), 'native/tests');
  execFileSync('strip', [join(app, 'native/tests')]);
}
cpSync(process.execPath, join(staged, 'node'));

console.log('packing');
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
execFileSync('bash', [
  '-c',
  'tar -czf - -C "$0" app node | split --bytes=60MB --numeric-suffixes --suffix-length=3 - "$1/part."',
  staged,
  out,
]);
rmSync(staged, { recursive: true });
cpSync(join(import.meta.dirname, 'run-cuda-bundle.sh'), join(out, 'run.sh'));
const parts = globSync('part.*', { cwd: out }).sort();
writeFileSync(join(out, 'sums'), execFileSync('sha256sum', parts, { cwd: out }));
console.log(`${out}: ${parts.length} parts and run.sh`);
