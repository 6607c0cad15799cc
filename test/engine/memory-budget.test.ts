import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { availableMemory, MemoryBudget } from '../../src/engine/worker/memory-budget.ts';
import { modelMemory } from '../../src/engine/worker/model-memory.ts';
import { fakeManifest } from '../support/fake-server.ts';

const gibibyte = 2 ** 30;

it('takes models while they fit together, and says what the one that does not needs', () => {
  const budget = new MemoryBudget(6 * gibibyte);
  const need = { weights: gibibyte, cache: 2 * gibibyte, slots: 16, positions: 2048, isGrowing: false };
  const release = budget.reserve(need);
  expect(() => budget.reserve({ ...need, cache: 3 * gibibyte })).toThrow(
    /needs at least 4.0 GiB.*1.0 GiB for its weights.*3.0 GiB for the caches of 16 slots of 2048 positions.*3.0 GiB are available.*ALTUP_SLOTS or ALTUP_CONTEXT/,
  );
  budget.reserve(need);
  expect(() => budget.reserve({ ...need, weights: 1, cache: 0 })).toThrow(/0.00 GiB are available/);
  release();
  budget.reserve(need);
});

it('lets a model take what the others leave, and names the memory of a GPU', () => {
  const budget = new MemoryBudget(10 * gibibyte, {
    name: 'GPU memory',
    remedy: 'use a GPU with more memory',
  });
  const need = { weights: 2 * gibibyte, cache: gibibyte, slots: 16, positions: 2048, isGrowing: false };
  budget.reserve(need);
  expect(budget.besidesCache(need)).toBe(9 * gibibyte);
  budget.reserve(need);
  expect(budget.besidesCache(need)).toBe(6 * gibibyte);
  expect(() => budget.reserve({ ...need, weights: 8 * gibibyte })).toThrow(
    /needs at least 9.0 GiB of GPU memory.*4.0 GiB are available. Serve fewer models, or use a GPU with more memory/,
  );
});

it('gives a cache that grows what is usual, up to a share of what the weights leave', () => {
  const budget = new MemoryBudget(11 * gibibyte);
  expect(budget.cacheBudget(gibibyte, 3 * gibibyte)).toBe(3 * gibibyte);
  expect(budget.cacheBudget(gibibyte, 40 * gibibyte)).toBe(7 * gibibyte);
  expect(budget.cacheBudget(12 * gibibyte, gibibyte)).toBe(0);
});

it('names what helps when a cache that grows does not fit', () => {
  const budget = new MemoryBudget(11 * gibibyte);
  const need = { weights: gibibyte, cache: 12 * gibibyte, slots: 16, positions: 32_768, isGrowing: true };
  expect(() => budget.reserve(need)).toThrow(
    /12.0 GiB for its cache; 11.0 GiB are available.*Lower ALTUP_CACHE_MEMORY, serve fewer/,
  );
  expect(() => budget.reserve({ ...need, weights: 12 * gibibyte, cache: 0 })).toThrow(
    /11.0 GiB are available. Serve fewer models/,
  );
});

it('reads a model’s need from its files and the shape of its cache', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'export-'));
  await writeFile(join(folder, 'decoder.onnx'), 'x'.repeat(100));
  await writeFile(join(folder, 'decoder.onnx.data'), 'x'.repeat(1000));
  await writeFile(join(folder, 'encoder.onnx'), 'x'.repeat(10));
  const need = (maxContext: number) => modelMemory(fakeManifest(), { folder, slots: 3, maxContext });
  // One layer, heads of size 8, keys and values, 4 bytes each; the model supports at most 64 positions.
  expect(await need(1000)).toEqual({
    weights: 1110,
    cache: 3 * 2 * 64 * 2 * 8 * 4,
    slots: 3,
    positions: 128,
  });
  expect((await need(16)).cache).toBe(3 * 2 * 16 * 2 * 8 * 4);
  await rm(folder, { recursive: true });
});

it('counts what the process itself may take', () => {
  expect(availableMemory()).toBeGreaterThan(0);
  expect(availableMemory()).toBeLessThan(2 ** 50);
});
