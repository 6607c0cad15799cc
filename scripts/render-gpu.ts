import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rendered } from '../test/cuda/results.ts';

// Writes docs/gpu.json, which `npm run test:cuda -- --results docs/gpu.json` makes, into docs/gpu.md.

const docs = join(import.meta.dirname, '../docs');
const results = rendered(JSON.parse(readFileSync(join(docs, 'gpu.json'), 'utf8')));
const page = readFileSync(join(docs, 'gpu.md'), 'utf8');
const section = /(## What was measured\n\n)[\s\S]*?(?=\n## CUDA\n)/;
writeFileSync(
  join(docs, 'gpu.md'),
  page.replace(section, (_, title) => `${title}${results}\n`),
);
