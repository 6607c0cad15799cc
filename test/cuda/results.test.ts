import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type GpuResults, rendered } from './results.ts';

const docs = join(import.meta.dirname, '../../docs');
const results: GpuResults = {
  device: 'a GPU',
  capability: 90,
  operators: 'agree',
  parity: [
    { model: 'a', precision: 'fp16', differences: [] },
    { model: 'b', precision: 'int4', differences: ['row 0'] },
  ],
  speed: [
    {
      model: 'altup',
      precision: 'fp16',
      kernels: true,
      promptMs: 12.34,
      steps: [{ batch: 4, ms: 1.5, runMs: 1.25 }],
    },
  ],
  notMeasured: ['c'],
};

it('shows what agrees, what differs, what was not measured, and the times', () => {
  const lines = rendered(results).split('\n');
  expect(lines).toContain('Tokens as on the CPU and with the function bodies: a fp16.');
  expect(lines).toContain('Different: b int4.');
  expect(lines).toContain('Not measured, because time was up: c.');
  expect(lines).toContain('| altup | ours | 12.3 ms | 1.50 ms (1.25) |');
});

it('docs/gpu.md has what docs/gpu.json says, or that there is none', () => {
  const page = readFileSync(join(docs, 'gpu.md'), 'utf8');
  const measured = join(docs, 'gpu.json');
  if (existsSync(measured)) expect(page).toContain(rendered(JSON.parse(readFileSync(measured, 'utf8'))));
  else expect(page).toContain('No part of this page was run on a GPU.');
});
