import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import onnxruntime from 'onnxruntime-node/package.json' with { type: 'json' };
import { beforeAll, describe, expect, it } from 'vitest';
import { cases, casesOn } from './cases.ts';
import type { Failure } from './fail-calls.ts';
import { type Counts, sum } from './ledger.ts';
import { decodedRows, type Phase } from './life.ts';
import type { Limits } from './limit-memory.ts';
import type { Life } from './place-models.ts';
import { type Placement, readPlacements } from './placement-log.ts';
import { getLibraries, runOnStandIn } from './run-on-stand-in.ts';
import type { Refusal } from './too-old.ts';

// The real CUDA provider of ONNX Runtime and the real NVRTC, on a device that only counts.

const capabilities = [75, 80, 90, 100, 120];
const libraries = getLibraries();

/** Arithmetic on a few integers that CUDA's operators want on the CPU; nothing of it waits for the device. */
const onCpu: Record<string, string[]> = {
  'austen-gemma3': [],
  'austen-gemma3n': [
    '/last_tokens/candidates',
    '/last_tokens/last',
    '/last_tokens/rows',
    '/last_tokens/start',
  ],
  t5: [
    '/decoder/padding_bias/keys',
    '/decoder/position_bias/known',
    '/decoder/position_bias/new_int32',
    '/decoder/position_bias/total',
    '/decoder/position_bias/total_int64',
    '/encoder/position_bias/sequence',
  ],
};
/** Copies that ONNX Runtime adds: only Gemma 3n's row numbers, to the device. */
const copies: Record<string, string[]> = { 'austen-gemma3n': ['MemcpyFromHost'] };

interface Row extends Life {
  placement: Placement;
}
const found = new Map<number, Row[]>();

/** Loads, serves and closes every model. */
async function place(capability: number): Promise<void> {
  const { lines, log, fault } = await runOnStandIn<Life>(libraries, capability, ['place-models.ts']);
  expect(fault, log.slice(-2000)).toBeNull();
  const placements = readPlacements(log);
  const placementOf = ({ model, precision }: Life) => placements.get(`${model} ${precision}`)!;
  found.set(
    capability,
    lines.map((life) => ({ ...life, placement: placementOf(life) })),
  );
}

beforeAll(async () => {
  await Promise.all(capabilities.map(place));
});

describe.each(capabilities)('compute capability %d', (capability) => {
  it.each(casesOn(capability).map(({ model, precision }) => [model, precision] as const))(
    '%s in %s has its nodes on the GPU, and sends only tokens',
    (model, precision) => {
      const row = rowOf(capability, model, precision);
      const { placement, counts, heldBytes } = row;
      const hasEncoder = model.includes('t5');
      expect(placement.onCuda).toBeGreaterThan(100);
      expect(placement.onCpu.sort()).toEqual(onCpu[hasEncoder ? 't5' : model]);
      expect(placement.copies).toEqual(copies[model] ?? []);

      const decode = counts.decode!;
      // Token, position, length and the row of the logits; with an encoder its length too.
      // And what is asked of its token; a row with a penalty notes its last token.
      expect(decode['bytes host to device']).toBe(
        (hasEncoder ? 32 : 28) * decodedRows + 120 * decodedRows + 4,
      );
      // The choices, with room for alternatives.
      expect(decode['bytes device to host']).toBe(184 * decodedRows);
      for (const kernel of ['take', 'keep_top_k', 'weigh', 'choose'])
        expect(decode[`launch ai.altup ${kernel}`], kernel).toBe(1);
      // Before the run, for the numbers that it reads, and after it.
      expect(sum(decode, 'call cudaStreamSynchronize')).toBe(2);
      expect(sum(decode, 'call cudaEvent') + sum(decode, 'call cudaDeviceSynchronize')).toBe(0);
      expect(sum(decode, 'call cudaMalloc') + sum(decode, 'call cudaFree')).toBe(0);
      // Sampling is on the default stream, behind the run.
      expect(streams(counts.prefill!)).toHaveLength(1);
      expect(streams(decode)).toHaveLength(2);
      expect(decode['stream default']).toBe(4);
      expect(sum(counts.copySlot!, 'call cuCtxSynchronize')).toBe(hasEncoder ? 2 : 1);
      // An encoder's keys and values stay on the device.
      expect(counts.encode?.['bytes device to host'] ?? 0).toBe(0);
      expect(heldBytes).toBe(0);
      if (row.model !== 'austen-gemma3' && row.model !== 'austen-t5-dense') {
        expect(sum(decode, 'launch ai.altup')).toBeGreaterThan(4);
      }
      expect(sum(counts.load!, 'modules of PTX')).toBe(0);
    },
  );
});

it('the packages have the versions of what they go with', () => {
  const packages = readFileSync(join(import.meta.dirname, 'packages.txt'), 'utf8');
  const tools = readFileSync(join(import.meta.dirname, '../../native/tools.txt'), 'utf8');
  expect(packages).toContain(`onnxruntime-gpu==${onnxruntime.version} `);
  expect(packages).toContain(`${/nvidia-cuda-nvrtc==.*/.exec(tools)} `);
});

it('docs/gpu.md has what a decode step launches', () => {
  const table = [
    '| model | precision | nodes | launches (7.5) | launches | calls | weights |',
    '|---|---|---|---|---|---|---|',
    ...cases.map(({ model, precision }) => {
      const [oldest, ...newer] = capabilities.map((each) => found.get(each)!.find(isOf(model, precision)));
      const oldLaunches = oldest ? sum(oldest.counts.decode!, 'launch ') : '–';
      const launches = newer.map((row) => sum(row!.counts.decode!, 'launch '));
      expect(new Set(launches).size, `${launches}`).toBe(1);
      const [{ placement, counts }] = newer as [Row];
      const kilobytes = Math.round(counts.load!['bytes host to device']! / 1000);
      const cells = [
        model,
        precision,
        placement.onCuda,
        oldLaunches,
        launches[0],
        sum(counts.decode!, 'call '),
        `${kilobytes.toLocaleString('en')} kB`,
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  ].join('\n');
  console.log(table);
  expect(readFileSync(join(import.meta.dirname, '../../docs/gpu.md'), 'utf8')).toContain(table);
});

it.concurrent.each([
  ['austen-t5-altup-k2', 'fp16'],
  ['austen-gemma3n', 'int4'],
  ['austen-gemma3n', 'bf16'],
] as const)(
  '%s in %s names a CUDA call that fails, serves on and leaks nothing',
  async (model, precision) => {
    const { counts } = rowOf(90, model, precision);
    const calls = Object.entries(counts).flatMap(([phase, own]) => callsOf(phase as Phase, own));
    expect(calls.length).toBeGreaterThan(50);
    const script = ['fail-calls.ts', model, precision, JSON.stringify(calls)] as const;
    const { lines, log, fault } = await runOnStandIn<Failure>(libraries, 90, script);
    expect(fault, `${JSON.stringify(lines.at(-1))}\n${log.slice(-2000)}`).toBeNull();
    const failures = lines.filter(({ error }) => error !== undefined);
    expect(failures).toHaveLength(calls.length);
    expect(failures.filter(({ call, error }) => error && !nameOf(call).test(error))).toEqual([]);
    expect(failures.filter(({ call, heldBytes }) => heldBytes !== 0 && !freeing.includes(call))).toEqual([]);
    const unnoticed = failures.filter(({ error, phase }) => error === null && phase !== 'close');
    expect(unnoticed.filter(({ call }) => !overlooked.includes(call))).toEqual([]);
  },
);

it('refuses bf16 on a device without bfloat16', async () => {
  const { lines, log, fault } = await runOnStandIn<Refusal>(libraries, 75, ['too-old.ts']);
  expect(fault, log.slice(-2000)).toBeNull();
  expect(lines).toHaveLength(cases.filter(({ precision }) => precision === 'bf16').length);
  for (const { model, message } of lines)
    expect(message, model).toMatch(
      /bf16: the GPU has compute capability 7.5, and bfloat16 needs 8.0; export it as fp16/,
    );
});

it('the service knows what memory the GPU has, and refuses with figures what does not fit', async () => {
  const { lines, log, fault } = await runOnStandIn<Limits>(libraries, 90, ['limit-memory.ts']);
  expect(fault, log.slice(-2000)).toBeNull();
  const [{ free, tooLittle, tooLarge }] = lines as [Limits];
  const [before, during, after] = free;
  expect(before).toBe(80 * 2 ** 30);
  // Weights of 4 MB, and the caches of four slots.
  expect(before - during).toBeGreaterThan(5_000_000);
  expect(after).toBe(before);
  expect(tooLittle).toMatch(/Available memory of \d+ is smaller than requested bytes of \d+/);
  expect(tooLarge).toMatch(
    /needs at least 90.0 GiB of GPU memory.*80.0 GiB are available. Serve fewer models, or use a GPU with more memory/,
  );
});

const isOf = (model: string, precision: string) => (row: Row) =>
  row.model === model && row.precision === precision;

function rowOf(capability: number, model: string, precision: string): Row {
  return found.get(capability)!.find(isOf(model, precision))!;
}

const streams = (counts: Counts) => Object.keys(counts).filter((name) => name.startsWith('stream '));

/** The calls of a phase; those that compile kernels first, because a process compiles them once. */
function callsOf(phase: Phase, counts: Counts): [Phase, string][] {
  const calls = Object.keys(counts).flatMap((name) => /^call (.*)/.exec(name)?.[1] ?? []);
  const compiles = (call: string) => Number(/^cu(Module|DeviceGetAttribute)/.test(call));
  return calls.sort((a, b) => compiles(b) - compiles(a)).map((call) => [phase, call]);
}

/** Calls that give memory back: what they refuse to free stays. */
const freeing = ['cudaFree', 'cuMemFree_v2', 'cuCtxSetCurrent'];

/** Calls whose failure ONNX Runtime overlooks, or works around by another allocation. */
const overlooked = ['cublasGetMathMode', 'cublasSetStream_v2', 'cudaFree', 'cudaMalloc'];

/** What an error must say of a call that failed. */
function nameOf(call: string): RegExp {
  if (call === 'cudaGetDevice') return /cuda_allocator\.cc/;
  if (call === 'cudaMalloc') return /Failed to allocate memory/;
  if (call === 'cudaLaunchKernel') return /while running \w+ node.*CUDA error/s;
  if (/^cublas.*(emm|geam)/.test(call)) return /while running \w+ node.*(CUBLAS failure|GEMM failed)/s;
  return new RegExp(`\\b${call.replace(/_v2$/, '')}`);
}
