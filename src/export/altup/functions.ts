import type { FunctionProto } from 'onnx-buf';
import { collapseFunction } from './collapse.ts';
import { correctFunction } from './correct.ts';
import { correctPredictFunction } from './correct-predict.ts';
import { expandFunction } from './expand.ts';
import { predictFunction } from './predict.ts';
import { selectFunction } from './select.ts';

/** The bodies of all `ai.altup` operators of version 1. */
export function altupFunctions(): FunctionProto[] {
  return [
    expandFunction(),
    selectFunction(),
    predictFunction(),
    correctFunction(),
    correctPredictFunction(),
    collapseFunction(),
  ];
}
