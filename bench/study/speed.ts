import { freemem } from 'node:os';
import { NativeSession } from '../../src/runtime/native-session.ts';
import { requireAddon } from '../altup-graph.ts';
import { type ExportedModel, exportBaseModel, weightBytes } from '../base-model.ts';
import { fastestStep } from '../decode-rows.ts';
import { median } from '../result.ts';
import { dense, kinds, layersOf, type ShapeName, variantOf } from './variants.ts';

/** Times relative to the dense model of the same shape, in rounds side by side: median, least, most. */
export type Relative = [number, number, number];

export interface Speed {
  shape: ShapeName;
  variant: string;
  /** Bytes of all weights. */
  bytes: number;
  /** Absent where the machine's memory did not suffice. */
  decode?: Relative;
  encode?: Relative;
}

const threads = 2;
const context = 128;
const promptTokens = 512;
const rounds = 9;
const decodeSteps = 4;
const gibibyte = 2 ** 30;
/** What ONNX Runtime holds of the weights at most while a session is opened: the file's pages and its packed copy. */
const memoryPerWeightByte = 2;

interface Opened {
  model: ExportedModel;
  session: NativeSession;
}

async function open(kind: typeof dense, shape: ShapeName): Promise<Opened> {
  const model = await exportBaseModel(variantOf(kind, shape), layersOf(shape));
  const options = { folder: model.folder, slots: 1, maxContext: 1024, threads };
  const session = await NativeSession.open(model.manifest, options, requireAddon());
  return { model, session };
}

async function close({ model, session }: Opened): Promise<void> {
  await session.close();
  await model.remove();
}

const tokens = (count: number) => Array.from({ length: count }, (_, i) => 100 + ((i * 7919) % 30_000));

async function encodeMs(session: NativeSession): Promise<number> {
  const start = performance.now();
  await session.encode(0, tokens(promptTokens));
  return performance.now() - start;
}

const decodeMs = (session: NativeSession) =>
  fastestStep(session, { batch: 1, past: context, steps: decodeSteps });

function relative(of: readonly number[], to: readonly number[]): Relative {
  const ratios = of.map((time, round) => time / to[round]!);
  return [median(ratios), Math.min(...ratios), Math.max(...ratios)];
}

/** The two sessions in turn, forwards and backwards, so that drift of the machine falls on both alike. */
async function sideBySide(
  sessions: readonly NativeSession[],
  time: (session: NativeSession) => Promise<number>,
): Promise<Relative> {
  const times: number[][] = sessions.map(() => []);
  for (let round = -1; round < rounds; round += 1) {
    const order = [...sessions.entries()];
    for (const [index, session] of round % 2 === 0 ? order : order.reverse()) {
      const ms = await time(session);
      if (round >= 0) times[index]!.push(ms);
    }
  }
  return relative(times[1]!, times[0]!);
}

async function fill(session: NativeSession): Promise<void> {
  await session.encode(0, tokens(context));
  await session.prefill(0, tokens(context), 0, null);
}

/** Every variant at every shape beside the dense model of that shape: a decode step, and a prompt's encoding. */
export async function measureSpeeds(
  of: readonly ShapeName[],
  onProgress: (line: string) => void,
): Promise<Speed[]> {
  const speeds: Speed[] = [];
  for (const shape of of) {
    const base = await open(dense, shape);
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
      const own = await open(kind, shape);
      await fill(base.session);
      await fill(own.session);
      const both = [base.session, own.session];
      found.decode = await sideBySide(both, decodeMs);
      found.encode = await sideBySide(both, encodeMs);
      await close(own);
      onProgress(
        `${shape} ${kind.name}: decode ${found.decode[0].toFixed(2)}, encode ${found.encode[0].toFixed(2)} of dense`,
      );
    }
    await close(base);
  }
  return speeds;
}
