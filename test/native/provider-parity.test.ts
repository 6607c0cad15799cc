import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import type { Runtime } from '../../src/runtime/session.ts';
import { goldenFolder } from '../support/golden.ts';
import type { SessionTokens } from '../support/session-tokens.ts';
import { swiftshaderEnvironment } from '../support/swiftshader.ts';
import { worstDifference } from '../support/worst-difference.ts';
import { describeNative } from './native-addon.ts';

const script = join(import.meta.dirname, '../support/session-tokens.ts');
const shipped = globSync(join(import.meta.dirname, '../../models/*/config.json')).map((file) =>
  join(file, '..'),
);
/** A model with more layers than a WebGPU shader may have buffers; some layers read other layers' caches. */
const deep = 'gemma3n-k4';
/** One of each kind, because SwiftShader is slow: the others run the same operators with other numbers. */
const kinds = shipped.filter((model) =>
  /-(gemma3|gemma3n|altup-k2|recycled-k2|altup-moe|sequence-altup)$/.test(model),
);
const minutes = 60_000;

/** Tokens of all models, computed in a separate process because WebGPU allows only one thread per process. */
async function tokensBy(
  { backend, executionProvider }: Runtime,
  folders: readonly string[],
  environment: Record<string, string> = {},
): Promise<Map<string, SessionTokens>> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [script, backend, executionProvider, ...folders],
    { env: { ...process.env, ...environment }, maxBuffer: 1e8 },
  );
  const lines = stdout.trim().split('\n');
  return new Map(folders.map((folder, i) => [folder, JSON.parse(lines[i]!) as SessionTokens]));
}

/** The same tokens, and embeddings of prompts of up to `longest` tokens that differ only by rounding. */
function expectParity(
  found: SessionTokens,
  expected: SessionTokens,
  name: string,
  longest = Number.POSITIVE_INFINITY,
): void {
  const { embeddings, ...tokens } = found;
  const { embeddings: others, ...otherTokens } = expected;
  expect(tokens, name).toEqual(otherTokens);
  expect(embeddings.length, name).toBe(others.length);
  for (const [i, { length, embedding }] of embeddings.entries()) {
    if (length > longest) continue;
    expect(worstDifference(embedding, others[i]!.embedding), `${name}, ${length} tokens`).toBeLessThan(1e-5);
  }
}

/**
 * On SwiftShader, ONNX Runtime 1.30's MultiHeadAttention for WebGPU is wrong for more tokens, whatever the model: up to
 * 0.3 for random inputs of order 1.
 */
const longestOnSwiftshader = 31;

describeNative('every shipped model, greedily, alone and in ragged batches', () => {
  const folders = new Map<string, string>();
  let expected: Map<string, SessionTokens>;
  let onFinished = async () => {};
  afterAll(() => onFinished());
  beforeAll(async () => {
    for (const model of shipped) folders.set(model, (await ensureExport(model, 'fp32')).folder);
    const out = await mkdtemp(join(tmpdir(), 'altup-test-'));
    onFinished = () => rm(out, { recursive: true });
    folders.set(deep, (await ensureExport(goldenFolder(deep), 'fp32', { out: join(out, 'fp32') })).folder);
    expected = await tokensBy({ backend: 'onnxruntime-node', executionProvider: 'cpu' }, [
      ...folders.values(),
    ]);
  }, 2 * minutes);

  it('generates the same for a prompt whatever is beside it', () => {
    expect(shipped.length).toBeGreaterThanOrEqual(6);
    for (const [model, folder] of folders) {
      const { alone, together } = expected.get(folder)!;
      expect(together, basename(model)).toEqual(alone);
      expect(new Set(alone.flat()).size, basename(model)).toBeGreaterThan(3);
    }
  });

  it('native on the CPU: the tokens of onnxruntime-node', { timeout: 2 * minutes }, async () => {
    const runtime = { backend: 'native', executionProvider: 'cpu' } as const;
    const found = await tokensBy(runtime, [...folders.values()]);
    for (const folder of folders.values()) expectParity(found.get(folder)!, expected.get(folder)!, folder);
  });

  const swiftshader = swiftshaderEnvironment();
  const reason = swiftshader ? '' : ' (skipped: SwiftShader is missing; scripts/get-chromium.sh fetches it)';
  describe.skipIf(swiftshader === null)(`on WebGPU, by SwiftShader${reason}`, () => {
    it.each([
      ['native', [...kinds, deep]],
      ['onnxruntime-node', shipped.filter((model) => model.endsWith('altup-k2'))],
    ] as const)(
      '%s: the same tokens, through function bodies',
      { timeout: 20 * minutes },
      async (backend, some) => {
        const chosen = some.map((model) => folders.get(model)!);
        const found = await tokensBy({ backend, executionProvider: 'webgpu' }, chosen, swiftshader!);
        for (const folder of chosen)
          expectParity(found.get(folder)!, expected.get(folder)!, folder, longestOnSwiftshader);
        expect(chosen.length).toBe(backend === 'native' ? 7 : 1);
      },
    );
  });
});
