import { FunctionBody } from '../onnx/function-body.ts';
import { altupDomain } from './domain.ts';
import { correctionMatrix, mixBlocks, stackRows } from './mix-blocks.ts';
import { correctPerToken } from './per-token.ts';

const signature = {
  domain: altupDomain,
  name: 'Correct',
  inputs: ['predicted', 'computed', 'correction_coefs'],
  outputs: ['corrected'],
  attributes: ['active'],
  doc: 'Step 3 of an AltUp layer: corrected[i] = predicted[i] + correction_coefs[i] * (computed - predicted[active]).',
};

/** Correct: X̂ [K, …, d], Y [..., d], G [K] → X [K, …, d], xⁱ = x̂ⁱ + G[i]·(y − x̂^active). */
export function correctFunction() {
  const body = new FunctionBody(signature);
  const rows = stackRows(body, 'predicted', 'computed');
  const matrix = correctionMatrix(body, 'correction_coefs');
  mixBlocks(body, 'corrected', matrix, rows, body.add('Shape', 'shape', ['predicted']));
  return body.toProto();
}

/** Correct with coefficients per token: G [..., K]. */
export function correctPerTokenFunction() {
  const body = new FunctionBody(signature);
  correctPerToken(body, 'corrected', 'predicted', 'computed', 'correction_coefs');
  return body.toProto();
}
