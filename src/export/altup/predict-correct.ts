import { int } from '../onnx/attributes.ts';
import { type AltUpOperator, inEverySet } from './domain.ts';
import { correctionMatrix, correctPerToken, mixBlocks, predictPerToken, stackRows } from './mixing.ts';

/** Predict: X [K, …, d], P [K, K] → X̂ [K, …, d], x̂ⁱ = Σⱼ P[i,j]·xʲ. */
export const predict: AltUpOperator = {
  name: 'Predict',
  inputs: ['blocks', 'prediction_coefs'],
  outputs: ['predicted'],
  attributes: [],
  doc: 'Step 1 of an AltUp layer: predicted[i] = sum over j of prediction_coefs[i, j] * blocks[j].',
  bodies: {
    paper: (body) => {
      const flat = body.add('Reshape', 'flat', ['blocks', body.integers('flat_shape', [0, -1])]);
      mixBlocks(body, 'predicted', 'prediction_coefs', flat, body.add('Shape', 'shape', ['blocks']));
    },
    /** Predict with coefficients per token: P [..., K, K]. */
    gemma: (body) => {
      predictPerToken(body, 'predicted', 'blocks', 'prediction_coefs');
    },
  },
};

/** Select: X [K, …, d] → block `active` [..., d]. */
export const select: AltUpOperator = {
  name: 'Select',
  inputs: ['blocks'],
  outputs: ['block'],
  attributes: ['active'],
  doc: 'Block number "active" of X [K, ..., d].',
  bodies: inEverySet((body) => {
    body.add('Gather', 'block', ['blocks', body.integerAttribute('active')], {
      attributes: { axis: int(0) },
    });
  }),
};

/** Correct: X̂ [K, …, d], Y [..., d], G [K] → X [K, …, d], xⁱ = x̂ⁱ + G[i]·(y − x̂^active). */
export const correct: AltUpOperator = {
  name: 'Correct',
  inputs: ['predicted', 'computed', 'correction_coefs'],
  outputs: ['corrected'],
  attributes: ['active'],
  doc: 'Step 3 of an AltUp layer: corrected[i] = predicted[i] + correction_coefs[i] * (computed - predicted[active]).',
  bodies: {
    paper: (body) => {
      const rows = stackRows(body, 'predicted', 'computed');
      const matrix = correctionMatrix(body, 'correction_coefs');
      mixBlocks(body, 'corrected', matrix, rows, body.add('Shape', 'shape', ['predicted']));
    },
    /** Correct with coefficients per token: G [..., K]. */
    gemma: (body) => {
      correctPerToken(body, 'corrected', 'predicted', 'computed', 'correction_coefs');
    },
  },
};
