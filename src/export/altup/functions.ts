import type { FunctionProto } from 'onnx-buf';
import { crossAttentionFunction, selfAttentionFunction } from './attention.ts';
import { collapseFunction, collapseMatchFunction } from './collapse.ts';
import { correctFunction, correctPerTokenFunction } from './correct.ts';
import { correctPredictFunction, correctPredictPerTokenFunction } from './correct-predict.ts';
import { expandFunction, expandMatchFunction } from './expand.ts';
import { gaussianTopKFunction } from './gaussian-top-k.ts';
import { predictFunction, predictPerTokenFunction } from './predict.ts';
import { selectFunction } from './select.ts';
import { sequencePredictCorrectFunction } from './sequence-predict-correct.ts';

/**
 * The bodies of all `ai.altup` operators of version 1. A model has one body per operator, so there are two sets:
 * `paper` has Expand by `split` and `replicate`, Collapse by `concatenate` and `sum`, and coefficients that are the
 * same for all tokens; `gemma3n` has Expand and Collapse by `match`, and coefficients per token.
 */
export function altupFunctions(set: 'paper' | 'gemma3n' = 'paper'): FunctionProto[] {
  const common = [selectFunction(), gaussianTopKFunction(), sequencePredictCorrectFunction()];
  if (set === 'gemma3n') {
    return [
      ...common,
      expandMatchFunction(),
      predictPerTokenFunction(),
      correctPerTokenFunction(),
      correctPredictPerTokenFunction(),
      collapseMatchFunction(),
    ];
  }
  return [
    ...common,
    selfAttentionFunction(),
    crossAttentionFunction(),
    expandFunction(),
    predictFunction(),
    correctFunction(),
    correctPredictFunction(),
    collapseFunction(),
  ];
}
