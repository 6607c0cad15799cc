import { int, ints } from '../onnx/attributes.ts';
import type { FunctionBody } from '../onnx/function-body.ts';

// Coefficients per token, as Gemma 3n's router computes them. One set for all tokens also works, by broadcasting, but
// the bodies for constant coefficients are faster because they need no Transpose.

const concat = { attributes: { axis: int(0) } };
const allowZero = { attributes: { allowzero: int(1) } };

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
