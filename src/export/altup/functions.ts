import type { FunctionProto } from 'onnx-buf';
import { FunctionBody } from '../onnx/function-body.ts';
import { crossAttention, selfAttention } from './attention.ts';
import { correctPredict } from './correct-predict.ts';
import { type AltUpOperator, altupDomain, type FunctionSet } from './domain.ts';
import { collapse, expand } from './expand-collapse.ts';
import { gaussianTopK } from './gaussian-top-k.ts';
import { correct, predict, select } from './predict-correct.ts';
import { sequencePredictCorrect } from './sequence-predict-correct.ts';

/** Every operator of `ai.altup`, version 1. The order is that of the functions in a model. */
export const operators: readonly AltUpOperator[] = [
  select,
  gaussianTopK,
  sequencePredictCorrect,
  selfAttention,
  crossAttention,
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
