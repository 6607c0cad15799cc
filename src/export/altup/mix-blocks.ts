import { int } from '../onnx/attributes.ts';
import type { FunctionBody } from '../onnx/function-body.ts';

/** `output` = `matrix` [m, n] · `rows` [n, numbers per block], in `shape`. Predict and Correct are such products. */
export function mixBlocks(
  body: FunctionBody,
  output: string,
  matrix: string,
  rows: string,
  shape: string,
): void {
  const mixed = body.add('MatMul', `${output}_flat`, [matrix, rows]);
  body.add('Reshape', output, [mixed, shape], { attributes: { allowzero: int(1) } });
}

/** Stacks X̂ [K, …, d] on Y [..., d], one row per block: [K+1, numbers per block]. */
export function stackRows(body: FunctionBody, predicted: string, computed: string): string {
  const asBlock = body.add('Unsqueeze', 'computed_block', [computed, body.integers('first_axis', [0])]);
  const stacked = body.add('Concat', 'stacked', [predicted, asBlock], { attributes: { axis: int(0) } });
  return body.add('Reshape', 'stacked_flat', [stacked, body.integers('flat_shape', [0, -1])]);
}

/**
 * C = [I − G·e_activeᵀ | G], [K, K+1]: the Correct step xⁱ = x̂ⁱ + G[i]·(y − x̂^active) as a matrix for the rows of
 * `stackRows`. It depends only on weights, so ONNX Runtime computes it once, at load.
 * @param gains G [K]
 */
export function correctionMatrix(body: FunctionBody, gains: string): string {
  const zero = body.integer('zero', 0);
  const one = body.integer('one', 1);
  const rowAxis = body.integers('row_axis', [0]);
  const columnAxis = body.integers('column_axis', [1]);
  const count = body.add('Size', 'count', [gains]);
  const block = body.add('Range', 'block', [zero, count, one]);
  const asRow = body.add('Unsqueeze', 'block_row', [block, rowAxis]);
  const asColumn = body.add('Unsqueeze', 'block_column', [block, columnAxis]);
  const isSame = body.add('Equal', 'is_same', [asColumn, asRow]);
  const isActive = body.add('Equal', 'is_active', [asRow, body.integerAttribute('active')]);
  const identity = body.add('CastLike', 'identity', [isSame, gains]);
  const active = body.add('CastLike', 'active_row', [isActive, gains]);
  const gain = body.add('Unsqueeze', 'gain', [gains, columnAxis]);
  const taken = body.add('Mul', 'taken', [gain, active]);
  const kept = body.add('Sub', 'kept', [identity, taken]);
  return body.add('Concat', 'correction', [kept, gain], { attributes: { axis: int(1) } });
}
