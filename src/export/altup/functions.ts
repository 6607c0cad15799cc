import type { FunctionProto } from 'onnx-buf';
import { int } from '../onnx/attributes.ts';
import { FunctionBody } from '../onnx/function-body.ts';
import { elementTypes } from '../onnx/values.ts';
import { crossAttentionFunction, selfAttentionFunction } from './attention.ts';
import { collapseFunction, collapseMatchFunction } from './collapse.ts';
import { correctFunction, correctPerTokenFunction } from './correct.ts';
import { correctPredictFunction, correctPredictPerTokenFunction } from './correct-predict.ts';
import { altupDomain } from './domain.ts';
import { expandFunction, expandMatchFunction } from './expand.ts';
import { predictFunction, predictPerTokenFunction } from './predict.ts';
import { sequencePredictCorrectFunction } from './sequence-predict-correct.ts';

/**
 * Returns the bodies of the `ai.altup` operators, version 1. A model has one body per operator, so there are two sets.
 * `paper`: Expand by `split` and `replicate`, Collapse by `concatenate` and `sum`, and the same coefficients for all
 * tokens. `gemma3n`: Expand and Collapse by `match`, and coefficients per token.
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

/** Select: X [K, …, d] → block `active` [..., d]. */
function selectFunction() {
  const body = new FunctionBody({
    domain: altupDomain,
    name: 'Select',
    inputs: ['blocks'],
    outputs: ['block'],
    attributes: ['active'],
    doc: 'Block number "active" of X [K, ..., d].',
  });
  body.add('Gather', 'block', ['blocks', body.integerAttribute('active')], { attributes: { axis: int(0) } });
  return body.toProto();
}

/**
 * GaussianTopK: gate [..., n] → relu(gate − (mean + std_multiplier·std)), with mean and population standard deviation
 * over the last axis, in float32. With multiplier Φ⁻¹(s), about a fraction s of a Gaussian row becomes zero. Gemma 3n
 * uses it in its sparse feed-forward layers (Gemma3nTextMLP in Hugging Face Transformers).
 */
function gaussianTopKFunction() {
  const body = new FunctionBody({
    domain: altupDomain,
    name: 'GaussianTopK',
    inputs: ['gate'],
    outputs: ['sparse'],
    attributes: ['std_multiplier'],
    doc: 'relu(gate - (mean + std_multiplier * std)) over the last axis, population standard deviation, in float32.',
  });
  const wide = body.add('Cast', 'wide', ['gate'], { attributes: { to: int(elementTypes.float32) } });
  const last = body.integers('last', [-1]);
  const mean = body.add('ReduceMean', 'mean', [wide, last]);
  const centred = body.add('Sub', 'centred', [wide, mean]);
  const squares = body.add('Mul', 'squares', [centred, centred]);
  const std = body.add('Sqrt', 'std', [body.add('ReduceMean', 'variance', [squares, last])]);
  const margin = body.add('Mul', 'margin', [std, body.floatAttribute('std_multiplier')]);
  const above = body.add('Sub', 'above', [wide, body.add('Add', 'cutoff', [mean, margin])]);
  body.add('CastLike', 'sparse', [body.add('Relu', 'kept', [above]), 'gate']);
  return body.toProto();
}
