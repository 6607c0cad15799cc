import { FunctionBody } from '../onnx/function-body.ts';
import { altupDomain } from './domain.ts';
import { mixBlocks } from './mix-blocks.ts';
import { predictPerToken } from './per-token.ts';

const signature = {
  domain: altupDomain,
  name: 'Predict',
  inputs: ['blocks', 'prediction_coefs'],
  outputs: ['predicted'],
  attributes: [],
  doc: 'Step 1 of an AltUp layer: predicted[i] = sum over j of prediction_coefs[i, j] * blocks[j].',
};

/** Predict: X [K, …, d], P [K, K] → X̂ [K, …, d], x̂ⁱ = Σⱼ P[i,j]·xʲ. */
export function predictFunction() {
  const body = new FunctionBody(signature);
  const flat = body.add('Reshape', 'flat', ['blocks', body.integers('flat_shape', [0, -1])]);
  mixBlocks(body, 'predicted', 'prediction_coefs', flat, body.add('Shape', 'shape', ['blocks']));
  return body.toProto();
}

/** Predict with coefficients per token: P [..., K, K]. */
export function predictPerTokenFunction() {
  const body = new FunctionBody(signature);
  predictPerToken(body, 'predicted', 'blocks', 'prediction_coefs');
  return body.toProto();
}
