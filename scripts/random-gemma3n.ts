import { e2b } from './random-gemma3n/shape.ts';
import { writeRandomGemma3n } from './random-gemma3n/write-checkpoint.ts';

// node scripts/random-gemma3n.ts <folder>: writes a random 9 GB checkpoint of Gemma 3n E2B's shape.

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('Usage: node scripts/random-gemma3n.ts <folder>');
  process.exitCode = 2;
} else {
  const start = performance.now();
  await writeRandomGemma3n(folder, e2b);
  console.log(`${folder}: written in ${Math.round((performance.now() - start) / 1000)} s`);
}
