import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import type { GpuResults } from '../cuda/results.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { getLibraries } from './run-on-stand-in.ts';

const run = promisify(execFile);

it('the bundle for a GPU runs from its own files, and shows no numbers of the stand-in', async () => {
  const folder = await temporaryFolder();
  const bundle = join(folder, 'bundle');
  const script = join(import.meta.dirname, '../../scripts/bundle-cuda.ts');
  await run(process.execPath, [script, '--out', bundle, '--models', 'austen-gemma3', '--no-operators']);
  const parts = readdirSync(bundle).filter((name) => name.startsWith('part.'));
  expect(parts.length).toBeGreaterThan(1);
  for (const part of parts) expect(statSync(join(bundle, part)).size).toBeLessThanOrEqual(60_000_000);

  const libraries = getLibraries();
  const env = {
    PATH: '/usr/bin:/bin',
    LD_LIBRARY_PATH: libraries,
    STAND_IN_LIBRARIES: libraries,
    STAND_IN_LEDGER: join(folder, 'ledger'),
    STAND_IN_CAPABILITY: '90',
  };
  const results = join(folder, 'gpu.json');
  const { stdout } = await run(
    join(bundle, 'run.sh'),
    [join(folder, 'unpacked'), '--results', results, '--quick'],
    {
      env,
    },
  );
  expect(stdout).toMatch(/no numbers: stand-in device\npassed\n$/);
  const { parity, capability }: GpuResults = JSON.parse(readFileSync(results, 'utf8'));
  expect(capability).toBe(90);
  expect(parity.map(({ precision }) => precision).sort()).toEqual(['bf16', 'fp16', 'int4', 'int8']);
});
