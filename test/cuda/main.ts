import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { MidSizeGemma3n } from '../../bench/mid-size-gemma3n.ts';
import { readManifest } from '../../src/catalog/manifest-file.ts';
import { loadNativeAddon, nativeFolder } from '../../src/runtime/native/native-addon.ts';
import { type Exported, unlikeTheBodies, unlikeTheCpu } from './parity.ts';
import type { GpuResults } from './results.ts';
import { measure } from './speed.ts';

// Checks everything that runs on a GPU and measures it: `node test/cuda/main.ts [--results FILE] [--minutes 6]
// [--quick]`, which leaves the speeds out. Exports must be there: nothing is fetched, so it also runs from the bundle that
// `npm run bundle:cuda` writes. Without a GPU it fails, and says why.

const { values } = parseArgs({
  options: {
    results: { type: 'string' },
    minutes: { type: 'string', default: '6' },
    quick: { type: 'boolean', default: false },
  },
});
const root = join(import.meta.dirname, '../..');
const endsAt = performance.now() + 60_000 * Number(values.minutes);
/** The stand-in of test/cuda-placement: it computes nothing, so no numbers are compared. */
const isStandIn = process.env.STAND_IN_LEDGER !== undefined;

const native = loadNativeAddon();
if (native.addon === null) throw new Error(native.reason);
const { addon } = native;

function capability(): number {
  try {
    return addon.cudaComputeCapability();
  } catch (error) {
    console.error(`no CUDA device: ${(error as Error).message}`);
    process.exit(1);
  }
}

/** What the driver's own tool says of the device. */
function device(): string {
  const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'];
  try {
    return execFileSync('nvidia-smi', query, { encoding: 'utf8' }).trim().split('\n')[0]!;
  } catch {
    return 'unknown';
  }
}

const results: GpuResults = {
  device: isStandIn ? 'stand-in' : device(),
  capability: capability(),
  operators: 'not run',
  parity: [],
  speed: [],
  notMeasured: [],
};
console.log(`${results.device}, compute capability ${results.capability / 10}`);
let faults = 0;

/** Runs the native tests of operators and of the sampler on the GPU, from the bundle's own binary if there is one. */
function testOperators(): void {
  if (isStandIn) {
    results.operators = 'not compared';
    return;
  }
  const binary = join(nativeFolder, 'tests');
  const [command, given]: [string, string[]] = existsSync(binary)
    ? [binary, []]
    : ['cargo', ['test', '--release', '--locked', '--lib', '--']];
  const env = { ...process.env, ALTUP_TEST_CUDA: '1', CARGO_MANIFEST_DIR: nativeFolder };
  const tests = [...given, 'ops::', 'device_logits::'];
  const { status } = spawnSync(command, tests, { cwd: nativeFolder, env, stdio: 'inherit' });
  results.operators = status === 0 ? 'agree' : 'differ';
  if (status !== 0) faults += 1;
}

async function exports(): Promise<Exported[]> {
  const manifests = globSync('models/*/onnx/*/manifest.json', { cwd: root }).sort();
  return Promise.all(
    manifests.map(async (path) => {
      const folder = join(root, dirname(path));
      return { model: path.split('/')[1]!, folder, manifest: await readManifest(folder) };
    }),
  );
}

/** Whether CUDA runs the export: 16-bit caches, and bfloat16 only where the device has it. */
function runs({ manifest: { precision, graphs } }: Exported): boolean {
  if (precision === 'bf16') return results.capability >= 80;
  return precision === 'fp16' || (graphs.encoder === null && precision !== 'fp32');
}

const isLate = (what: string): boolean => {
  if (performance.now() < endsAt) return false;
  results.notMeasured.push(what);
  return true;
};

async function compare(exported: Exported): Promise<void> {
  const { model, manifest } = exported;
  const name = `${model} ${manifest.precision}`;
  if (isLate(name)) return;
  // The CPU has no bfloat16.
  const onCpu = manifest.precision === 'bf16' ? [] : await unlikeTheCpu(native as never, exported);
  const found = [...onCpu, ...(await unlikeTheBodies(native as never, exported))];
  const differences = isStandIn ? [] : found;
  results.parity.push({ model, precision: manifest.precision, differences });
  if (differences.length > 0) faults += 1;
  console.log(`${name}: ${differences.length === 0 ? 'ok' : differences.join('; ')}`);
}

async function measureMidSize(): Promise<void> {
  if (values.quick || isLate('Gemma 3n with 300 M parameters')) return;
  const written = await MidSizeGemma3n.write();
  try {
    for (const kind of ['altup', 'plain'] as const) {
      const exported = { model: kind, ...(await written.export(kind, 'fp16')) };
      for (const kernels of [true, false]) {
        if (isLate(`${kind}, kernels ${kernels}`)) continue;
        const speed = await measure(native as never, exported, { kernels, batches: [1, 4, 16, 64] });
        results.speed.push({ model: kind, precision: 'fp16', ...speed });
        const steps = speed.steps.map(({ batch, ms }) => `${batch}: ${ms.toFixed(2)}`);
        console.log(
          `${kind}, kernels ${kernels}: prompt ${speed.promptMs.toFixed(1)} ms; steps ${steps.join(', ')} ms`,
        );
      }
    }
  } finally {
    await written.remove();
  }
}

testOperators();
for (const exported of (await exports()).filter(runs)) await compare(exported);
await measureMidSize();
if (isStandIn) console.log('no numbers: stand-in device');
if (values.results !== undefined) writeFileSync(values.results, `${JSON.stringify(results, null, 2)}\n`);
for (const what of results.notMeasured) console.log(`not measured, time was up: ${what}`);
console.log(faults === 0 ? 'passed' : `failed: ${faults}`);
process.exitCode = faults === 0 ? 0 : 1;
