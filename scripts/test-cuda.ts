import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { cudaExports } from '../test/cuda/exports.ts';

// Exports what is missing, and checks it on the GPU: `npm run test:cuda -- [--results docs/gpu.json] [--minutes 6] [--quick]`.

await cudaExports();
const main = join(import.meta.dirname, '../test/cuda/main.ts');
process.exitCode =
  spawnSync(process.execPath, [main, ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1;
