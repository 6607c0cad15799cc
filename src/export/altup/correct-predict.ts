import { int } from '../onnx/attributes.ts';
import type { FunctionBody } from '../onnx/function-body.ts';
import type { AltUpOperator } from './domain.ts';
import { correctionMatrix, correctPerToken, mixBlocks, predictPerToken, stackRows } from './mixing.ts';

/**
 * CorrectPredict: X̂ [K, …, d], Y [..., d], G [K], P' [K, K] → X̂' [K, …, d], S [..., d].
 * Combines Correct of this layer, Predict of the next layer (X̂' = P'·X) and Select of block `next`, which the next
 * layer reads: the corrected block in the paper, the predicted block in Gemma 3n (attribute `reads`).
 * [X̂'; S] = M·[X̂; Y], where M depends only on weights. Two products, one for X̂' and one for S, are faster than one
 * product and a Split.
 */
export const correctPredict: AltUpOperator = {
  name: 'CorrectPredict',
  inputs: ['predicted', 'computed', 'correction_coefs', 'next_prediction_coefs'],
  outputs: ['next_predicted', 'next_read'],
  attributes: ['active', 'next', 'reads'],
  doc: 'Correct, then the next layer\'s Predict and Select of block "next", as corrected or as predicted ("reads").',
  bodies: {
    paper: (body) => {
      const correction = correctionMatrix(body, 'correction_coefs');
      const matrix = body.add('MatMul', 'matrix', ['next_prediction_coefs', correction]);
      const row = { attributes: { axis: int(0) } };
      const next = body.add('Reshape', 'next_index', [
        body.integerAttribute('next'),
        body.integers('one_index', [1]),
      ]);
      const correctedRow = body.add('Gather', 'corrected_row', [correction, next], row);
      const predictedRow = body.add('Gather', 'predicted_row', [matrix, next], row);
      const readRow = body.add('Where', 'read_row', [readsCorrected(body), correctedRow, predictedRow]);

      const rows = stackRows(body, 'predicted', 'computed');
      mixBlocks(body, 'next_predicted', matrix, rows, body.add('Shape', 'blocks_shape', ['predicted']));
      mixBlocks(body, 'next_read', readRow, rows, body.add('Shape', 'block_shape', ['computed']));
    },
    /** CorrectPredict with coefficients per token: G [..., K] and P' [..., K, K]. */
    gemma: (body) => {
      correctPerToken(body, 'corrected', 'predicted', 'computed', 'correction_coefs');
      predictPerToken(body, 'next_predicted', 'corrected', 'next_prediction_coefs');
      const next = body.integerAttribute('next');
      const correctedBlock = body.add('Gather', 'corrected_block', ['corrected', next]);
      const predictedBlock = body.add('Gather', 'predicted_block', ['next_predicted', next]);
      body.add('Where', 'next_read', [readsCorrected(body), correctedBlock, predictedBlock]);
    },
  },
};

function readsCorrected(body: FunctionBody): string {
  return body.add('Equal', 'reads_corrected', [
    body.textAttribute('reads'),
    body.text('as_corrected', 'corrected'),
  ]);
}
