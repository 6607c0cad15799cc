import { freemem } from 'node:os';
import { NativeSession } from '../../src/runtime/native/native-session.ts';
import { requireAddon } from '../altup-graph.ts';
import { type ExportedModel, exportBaseModel, weightBytes } from '../base-model.ts';
import { fastestStep } from '../decode-rows.ts';
import { median } from '../result.ts';
import type { Relative } from './relative.ts';
import { dense, kinds, layersOf, type ShapeName, variantOf } from './variants.ts';

export interface Speed {
  shape: ShapeName;
  variant: string;
  /** Bytes of all weights. */
  bytes: number;
  /** Absent if the machine has too little memory. */
  decode?: Relative;
  encode?: Relative;
}

const threads = 2;
const context = 128;
const promptTokens = 512;
/** Many, because a model can be a fifth slower depending on the memory it gets when opened. */
const rounds = 25;
const decodeSteps = 4;
/** The first run also allocates the positions. */
const encoderRuns = 2;
const gibibyte = 2 ** 30;
/** Maximum while ONNX Runtime opens a session: the file's pages and its packed copy. */
const memoryPerWeightByte = 2;

const tokens = (count: number) => Array.from({ length: count }, (_, i) => 100 + ((i * 7919) % 30_000));

const exportOf = (kind: typeof dense, shape: ShapeName) =>
  exportBaseModel(variantOf(kind, shape), layersOf(shape));

interface Times {
  decode: number;
  encode: number;
}

/** Milliseconds in a session opened only for this call, because sessions that stay open may keep slower memory. */
async function timesOf({ manifest, folder }: ExportedModel): Promise<Times> {
  const options = { folder, slots: 1, maxContext: 1024, threads };
  const session = await NativeSession.open(manifest, options, requireAddon());
  await session.encode(0, tokens(context));
  await session.prefill(0, tokens(context), 0, null);
  const decode = await fastestStep(session, { batch: 1, past: context, steps: decodeSteps });
  const encodings = [];
  for (let run = 0; run < encoderRuns; run += 1) {
    const start = performance.now();
    await session.encode(0, tokens(promptTokens));
    encodings.push(performance.now() - start);
  }
  await session.close();
  return { decode, encode: Math.min(...encodings) };
}

function relative(of: readonly number[], to: readonly number[]): Relative {
  const ratios = of.map((time, round) => time / to[round]!);
  return [median(ratios), Math.min(...ratios), Math.max(...ratios)];
}

/** Times the two models in alternating order, so that the machine's drift affects both equally. */
async function sideBySide(base: ExportedModel, own: ExportedModel): Promise<Record<keyof Times, Relative>> {
  const [ofBase, ofOwn]: [Times[], Times[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    if (round % 2 === 0) ofBase.push(await timesOf(base));
    ofOwn.push(await timesOf(own));
    if (round % 2 === 1) ofBase.push(await timesOf(base));
  }
  const of = (what: keyof Times) =>
    relative(
      ofOwn.map((times) => times[what]),
      ofBase.map((times) => times[what]),
    );
  return { decode: of('decode'), encode: of('encode') };
}

/** Compares every variant at every shape with the dense model of that shape: a decode step, and a prompt's encoding. */
export async function measureSpeeds(
  of: readonly ShapeName[],
  onProgress: (line: string) => void,
): Promise<Speed[]> {
  const speeds: Speed[] = [];
  for (const shape of of) {
    const base = await exportOf(dense, shape);
    for (const kind of kinds) {
      const bytes = weightBytes(variantOf(kind, shape), layersOf(shape));
      const found: Speed = { shape, variant: kind.name, bytes };
      speeds.push(found);
      if (memoryPerWeightByte * bytes > freemem()) {
        onProgress(
          `${shape} ${kind.name}: ${(bytes / gibibyte).toFixed(1)} GiB of weights are too much for this machine`,
        );
        continue;
      }
      const own = await exportOf(kind, shape);
      const { decode, encode } = await sideBySide(base, own);
      await own.remove();
      Object.assign(found, { decode, encode });
      onProgress(
        `${shape} ${kind.name}: decode ${decode[0].toFixed(2)}, encode ${encode[0].toFixed(2)} of dense`,
      );
    }
    await base.remove();
  }
  return speeds;
}
