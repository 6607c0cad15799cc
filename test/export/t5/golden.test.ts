import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureExport } from '../../../src/export/export-checkpoint.ts';
import { copyCheckpoint } from '../../support/checkpoint-copy.ts';
import { encoderPositions, goldenVariants, readGolden } from '../../support/golden.ts';
import { worstDifference } from '../../support/worst-difference.ts';

type Values = Record<string, Tensor>;

const tolerance = 1e-4;
const capacity = 40;

/** Row `row` of a tensor whose first axis is the batch, as a batch of one. */
function rowOf(tensor: Tensor, row: number): Tensor {
  const [batch, ...rest] = tensor.dims;
  const size = tensor.size / batch!;
  const values = (tensor.data as Float32Array).slice(row * size, (row + 1) * size);
  return new Tensor(tensor.type, values as never, [1, ...rest]);
}

const upTo = (count: number) => BigInt64Array.from({ length: count }, (_, n) => BigInt(n));

/** The encoder over the whole golden batch, then each row's decoder over all its tokens at once. */
class ExportedModel {
  readonly #encoder: InferenceSession;
  readonly #decoder: InferenceSession;

  private constructor(encoder: InferenceSession, decoder: InferenceSession) {
    this.#encoder = encoder;
    this.#decoder = decoder;
  }

  static async load(variant: string): Promise<ExportedModel> {
    const checkpoint = await copyCheckpoint(variant);
    const { folder } = await ensureExport(checkpoint, 'fp32');
    const options = { intraOpNumThreads: 1 };
    return new ExportedModel(
      await InferenceSession.create(join(folder, 'encoder.onnx'), options),
      await InferenceSession.create(join(folder, 'decoder.onnx'), options),
    );
  }

  async encode(golden: Values): Promise<Values> {
    return await this.#encoder.run({
      input_ids: golden.input_ids!,
      encoder_lengths: golden.encoder_lengths!,
    });
  }

  /** @returns logits [rows.length, vocabulary] of the tokens `rows` of batch row `row` */
  async decode(golden: Values, encoded: Values, row: number, rows: BigInt64Array): Promise<Tensor> {
    const ids = rowOf(golden.decoder_input_ids!, row);
    const count = ids.dims[1]!;
    const feeds: Values = {
      input_ids: ids,
      position_ids: new Tensor('int64', upTo(count), [1, count]),
      seqlens_k: new Tensor('int32', [count - 1], [1]),
      total_sequence_length: new Tensor('int32', [count], [1]),
      logit_positions: new Tensor('int64', rows, [rows.length]),
      encoder_lengths: rowOf(golden.encoder_lengths!, row),
    };
    for (const [name, value] of Object.entries(encoded)) {
      if (!name.startsWith('cross.')) continue;
      feeds[name] = rowOf(value, row);
      const [, heads, , size] = value.dims;
      const past = new Float32Array(heads! * capacity * size!).fill(Number.NaN);
      feeds[name.replace('cross', 'past_key_values')] = new Tensor('float32', past, [
        1,
        heads!,
        capacity,
        size!,
      ]);
    }
    const { logits } = await this.#decoder.run(feeds, ['logits']);
    return logits!;
  }
}

describe.each(goldenVariants)('exported %s against the reference', (variant) => {
  let golden: Values;
  let model: ExportedModel;
  let encoded: Values;

  it('loads', async () => {
    golden = await readGolden(variant);
    model = await ExportedModel.load(variant);
    encoded = await model.encode(golden);
  });

  it('encodes a padded batch', async () => {
    const expected = golden.encoder_output!;
    const [batch, sequence, width] = expected.dims as [number, number, number];
    const actual = encoded.encoder_output!;
    expect(actual.dims).toEqual(expected.dims);
    const positions = await encoderPositions(variant, golden.encoder_lengths!.data as Int32Array);
    for (let row = 0; row < batch; row += 1) {
      const start = row * sequence * width;
      const end = start + positions[row]! * width;
      const valid = (tensor: Tensor) => (tensor.data as Float32Array).subarray(start, end);
      expect(worstDifference(valid(actual), valid(expected))).toBeLessThan(tolerance);
    }
    for (const { data } of Object.values(encoded))
      expect((data as Float32Array).every(Number.isFinite)).toBe(true);
  });

  it('encodes a row alike whatever stands in its padding', async () => {
    const ids = golden.input_ids!;
    const lengths = golden.encoder_lengths!.data as Int32Array;
    const sequence = ids.dims[1]!;
    const others = (ids.data as BigInt64Array).map((id, n) =>
      n % sequence < lengths[Math.floor(n / sequence)]! ? id : BigInt(1 + (n % 60)),
    );
    const again = await model.encode({ ...golden, input_ids: new Tensor('int64', others, ids.dims) });
    const [before, after] = [encoded, again].map((made) => made.encoder_output!.data as Float32Array);
    const [, outputs, width] = golden.encoder_output!.dims as [number, number, number];
    (await encoderPositions(variant, lengths)).forEach((count, row) => {
      const [start, end] = [row * outputs * width, (row * outputs + count) * width];
      expect(after!.subarray(start, end)).toEqual(before!.subarray(start, end));
    });
    // A model that averages tokens reads padding as zero, whatever it contains.
    if (outputs === sequence) expect(after).not.toEqual(before);
  });

  it('decodes every position of every row', async () => {
    const [batch, count, vocabulary] = golden.logits!.dims as [number, number, number];
    for (let row = 0; row < batch; row += 1) {
      const logits = await model.decode(golden, encoded, row, upTo(count));
      expect(logits.dims).toEqual([count, vocabulary]);
      const worst = worstDifference(
        logits.data as Float32Array,
        rowOf(golden.logits!, row).data as Float32Array,
      );
      expect(worst).toBeLessThan(tolerance);
    }
  });

  it('gives the logits of the positions asked for, in that order, or of none', async () => {
    const { data, dims } = rowOf(golden.logits!, 1);
    const vocabulary = dims[2]!;
    const expected = [28, 3].flatMap((at) => [
      ...(data as Float32Array).slice(at * vocabulary, (at + 1) * vocabulary),
    ]);
    const some = await model.decode(golden, encoded, 1, BigInt64Array.of(28n, 3n));
    expect(worstDifference(some.data as Float32Array, expected)).toBeLessThan(tolerance);
    const none = await model.decode(golden, encoded, 1, new BigInt64Array(0));
    expect(none.dims).toEqual([0, vocabulary]);
  });
});

describe('identities', () => {
  let dense: Float32Array;
  beforeAll(async () => {
    dense = (await readGolden('dense')).logits!.data as Float32Array;
  });

  // These all equal the dense model: P = I, g = 1 with replicated blocks; one block with g = 1; Sequence-AltUp of
  // stride 1 with b = 1 in each layer.
  it.each(['recycled-identity', 'altup-k1-identity', 'sequence-identity'])(
    '%s computes what dense computes',
    async (variant) => {
      const golden = await readGolden(variant);
      const model = await ExportedModel.load(variant);
      const encoded = await model.encode(golden);
      const count = golden.decoder_input_ids!.dims[1]!;
      for (let row = 0; row < 3; row += 1) {
        const logits = (await model.decode(golden, encoded, row, upTo(count))).data as Float32Array;
        const expected = dense.subarray(row * logits.length, (row + 1) * logits.length);
        expect(worstDifference(logits, expected)).toBeLessThan(tolerance);
      }
    },
  );
});
