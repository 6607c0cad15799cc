import { ConfigurationError } from '../../errors.ts';
import type { Weight, WeightChunk } from '../onnx/weight.ts';
import { blockSize, type QuantizedBits } from './quantize-block.ts';
import { maxJobs, quantizeApart } from './quantize-pool.ts';

export const scalesSuffix = '.scales';
export const zerosSuffix = '.zero_points';

/** A matrix for QuantizedMatMul and QuantizedGather: its weight and the names of the weight's tensors. */
export interface QuantizedMatrix {
  readonly shape: readonly [rows: number, columns: number];
  readonly bits: QuantizedBits;
  readonly weight: Weight;
  /** uint8, columns · bits / 8 bytes per row; with 4 bits, the first of two codes is in the low half of a byte. */
  readonly codes: string;
  /** float32 [rows, columns / 32] */
  readonly scales: string;
  /** uint8 [rows, ⌈columns / 32 · bits / 8⌉], packed like the codes. */
  readonly zeros: string;
}

/** Dimensions of the codes by row, for QuantizedGather. */
export function tableDims([rows, columns]: readonly [number, number], bits: QuantizedBits): number[] {
  return [rows, (columns * bits) / 8];
}

/** Dimensions of the same bytes by block, for QuantizedMatMul. */
export function blockDims([rows, columns]: readonly [number, number], bits: QuantizedBits): number[] {
  return [rows, columns / blockSize, (blockSize * bits) / 8];
}

/**
 * @param name of the matrix in the checkpoint; the codes keep it, scales and zero points add a suffix
 * @param pieces the rows in pieces [n, columns]
 * @param dims dimensions of the codes
 */
export function quantizedMatrix(
  name: string,
  shape: readonly [number, number],
  bits: QuantizedBits,
  pieces: () => AsyncIterable<Float32Array<ArrayBuffer>>,
  dims: readonly number[],
): QuantizedMatrix {
  const [rows, columns] = shape;
  const blocks = columns / blockSize;
  const [scales, zeros] = [`${name}${scalesSuffix}`, `${name}${zerosSuffix}`];
  const tensors = [
    { name, type: 'uint8', dims },
    { name: scales, type: 'float32', dims: [rows, blocks] },
    { name: zeros, type: 'uint8', dims: [rows, Math.ceil((blocks * bits) / 8)] },
  ] as const;
  async function* chunks(): AsyncGenerator<WeightChunk> {
    const quantize = (values: Float32Array<ArrayBuffer>) => quantizeApart({ values, columns, bits });
    for await (const made of mapAhead(pieces(), maxJobs, quantize)) {
      if (!made.scales.every(Number.isFinite)) {
        throw new ConfigurationError(`${name}: holds a number that is not finite; it cannot be quantised`);
      }
      yield { tensor: 0, bytes: made.codes };
      yield { tensor: 1, bytes: new Uint8Array(made.scales.buffer) };
      yield { tensor: 2, bytes: made.zeros };
    }
  }
  return { shape, bits, weight: { tensors, chunks }, codes: name, scales, zeros };
}

/** Applies `apply` to each item, at most `limit` at a time, and yields the results in order. */
export async function* mapAhead<In, Out>(
  items: AsyncIterable<In>,
  limit: number,
  apply: (item: In) => Promise<Out>,
): AsyncGenerator<Out> {
  const underWay: Promise<Out>[] = [];
  for await (const item of items) {
    const made = apply(item);
    // Avoids an unhandled rejection: the loop throws it in turn, unless the consumer stops earlier.
    made.catch(() => {});
    underWay.push(made);
    if (underWay.length >= limit) yield await underWay.shift()!;
  }
  for (const made of underWay) yield await made;
}
