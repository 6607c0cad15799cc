import { int, ints } from '../onnx/attributes.ts';
import type { FunctionBody } from '../onnx/function-body.ts';

const concat = { attributes: { axis: int(0) } };
const allowZero = { attributes: { allowzero: int(1) } };

/** `output` = `matrix` [m, n] · `rows` [n, numbers per block], in `shape`. Predict and Correct are such products. */
export function mixBlocks(
  body: FunctionBody,
  output: string,
  matrix: string,
  rows: string,
  shape: string,
): void {
  const mixed = body.add('MatMul', `${output}_flat`, [matrix, rows]);
  body.add('Reshape', output, [mixed, shape], allowZero);
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

// Coefficients per token, as Gemma 3n's router computes them. One set for all tokens also works, by broadcasting, but
// the bodies for constant coefficients are faster because they need no Transpose.

/** x̂ⁱ = Σⱼ P[i,j]·xʲ for X [K, …, d] and P [..., K, K]. @param output the name of X̂ */
export function predictPerToken(body: FunctionBody, output: string, blocks: string, coefs: string): void {
  const swap = { attributes: { perm: ints([1, 0, 2]) } };
  const tokensFirst = body.add('Transpose', 'tokens_first', [flatten(body, blocks)], swap);
  const count = body.add('Shape', 'block_count', [blocks], { attributes: { end: int(1) } });
  const shape = body.add('Concat', 'matrix_shape', [body.integers('each', [-1]), count, count], concat);
  const mixed = body.add('MatMul', 'mixed', [body.add('Reshape', 'matrices', [coefs, shape]), tokensFirst]);
  const blocksFirst = body.add('Transpose', 'blocks_first', [mixed], swap);
  const blocksShape = body.add('Shape', 'mixed_shape', [blocks]);
  body.add('Reshape', output, [blocksFirst, blocksShape], allowZero);
}

/** xⁱ = x̂ⁱ + G[i]·(y − x̂^active) for X̂ [K, …, d], Y [..., d] and G [..., K]. @param output the name of X */
export function correctPerToken(
  body: FunctionBody,
  output: string,
  predicted: string,
  computed: string,
  gains: string,
): void {
  const flat = flatten(body, predicted);
  const active = body.add('Gather', 'active_block', [flat, body.integerAttribute('active')]);
  const block = body.add(
    'Reshape',
    'computed_block',
    [computed, body.add('Shape', 'block_shape', [active])],
    allowZero,
  );
  const innovation = body.add('Sub', 'innovation', [block, active]);
  const count = body.add('Shape', 'gain_count', [gains], { attributes: { start: int(-1) } });
  const rowsShape = body.add('Concat', 'gain_shape', [body.integers('every', [-1]), count], concat);
  const rows = body.add('Reshape', 'gain_rows', [gains, rowsShape]);
  const columns = body.add('Transpose', 'gain_columns', [rows], { attributes: { perm: ints([1, 0]) } });
  const gain = body.add('Unsqueeze', 'gain', [columns, body.integers('width_axis', [2])]);
  const corrected = body.add('Add', 'corrected_flat', [flat, body.add('Mul', 'moved', [gain, innovation])]);
  body.add('Reshape', output, [corrected, body.add('Shape', 'corrected_shape', [predicted])], allowZero);
}

/** X [K, …, d] → [K, tokens, d]. */
function flatten(body: FunctionBody, blocks: string): string {
  const name = `${blocks}_by_token`;
  const shape = [
    body.add('Shape', `${name}_count`, [blocks], { attributes: { end: int(1) } }),
    body.integers(`${name}_tokens`, [-1]),
    body.add('Shape', `${name}_width`, [blocks], { attributes: { start: int(-1) } }),
  ];
  return body.add('Reshape', name, [blocks, body.add('Concat', `${name}_shape`, shape, concat)]);
}
