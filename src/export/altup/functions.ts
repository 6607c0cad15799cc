import type { FunctionProto } from 'onnx-buf';
import { int } from '../onnx/attributes.ts';
import { FunctionBody } from '../onnx/function-body.ts';
import { elementTypes } from '../onnx/values.ts';
import { crossAttention, groupedQueryAttention, selfAttention } from './attention.ts';
import { correctPredict } from './correct-predict.ts';
import { type AltUpOperator, altupDomain, type FunctionSet, inEverySet } from './domain.ts';
import { collapse, expand } from './expand-collapse.ts';
import { correct, predict, select } from './predict-correct.ts';
import { quantizedGather } from './quantized-gather.ts';
import { quantizedMatMul } from './quantized-mat-mul.ts';
import { sequencePredictCorrect } from './sequence-predict-correct.ts';

/**
 * GaussianTopK: gate [..., n] → relu(gate − (mean + std_multiplier·std)), with mean and population standard deviation
 * over the last axis, in float32. With multiplier Φ⁻¹(s), about a fraction s of a Gaussian row becomes zero. Gemma 3n
 * uses it in its sparse feed-forward layers (Gemma3nTextMLP in Hugging Face Transformers).
 */
const gaussianTopK: AltUpOperator = {
  name: 'GaussianTopK',
  inputs: ['gate'],
  outputs: ['sparse'],
  attributes: ['std_multiplier'],
  doc: 'relu(gate - (mean + std_multiplier * std)) over the last axis, population standard deviation, in float32.',
  bodies: inEverySet((body) => {
    const wide = body.add('Cast', 'wide', ['gate'], { attributes: { to: int(elementTypes.float32) } });
    const last = body.integers('last', [-1]);
    const mean = body.add('ReduceMean', 'mean', [wide, last]);
    const centred = body.add('Sub', 'centred', [wide, mean]);
    const squares = body.add('Mul', 'squares', [centred, centred]);
    const std = body.add('Sqrt', 'std', [body.add('ReduceMean', 'variance', [squares, last])]);
    const margin = body.add('Mul', 'margin', [std, body.floatAttribute('std_multiplier')]);
    const above = body.add('Sub', 'above', [wide, body.add('Add', 'cutoff', [mean, margin])]);
    body.add('CastLike', 'sparse', [body.add('Relu', 'kept', [above]), 'gate']);
  }),
};

/** Every operator of `ai.altup`, version 1. The order is that of the functions in a model. */
export const operators: readonly AltUpOperator[] = [
  select,
  gaussianTopK,
  sequencePredictCorrect,
  selfAttention,
  crossAttention,
  groupedQueryAttention,
  quantizedMatMul,
  quantizedGather,
  expand,
  predict,
  correct,
  correctPredict,
  collapse,
];

/** Returns the function bodies of a set. */
export function altupFunctions(set: FunctionSet = 'paper'): FunctionProto[] {
  return operators.flatMap(({ bodies, ...signature }) => {
    const write = bodies[set];
    if (write === undefined) return [];
    const body = new FunctionBody({ domain: altupDomain, ...signature });
    write(body);
    return [body.toProto()];
  });
}
