import { create } from '@bufbuild/protobuf';
import { OperatorSetIdProtoSchema } from 'onnx-buf';
import type { FunctionBody, FunctionSignature } from '../onnx/function-body.ts';

/**
 * Domain of the operators of Alternating Updates (arXiv 2301.13310, Algorithm 1). X is the widened representation
 * [K, …, d], with the K blocks outermost. A runtime with kernels of these names uses them; other runtimes use the
 * function bodies in the model.
 */
export const altupDomain = 'ai.altup';
export const altupOpset = create(OperatorSetIdProtoSchema, { domain: altupDomain, version: 1n });

/**
 * A model has one body per operator, so there are two sets of bodies. `paper`: Expand by `split` and `replicate`,
 * Collapse by `concatenate` and `sum`, and the same coefficients for all tokens. `gemma`: Expand and Collapse by
 * `match`, and coefficients per token, as in Gemma 3n.
 */
export type FunctionSet = 'paper' | 'gemma';

type WriteBody = (body: FunctionBody) => void;

export interface AltUpOperator extends Omit<FunctionSignature, 'domain'> {
  /** Write the function body for a set. Models of a set without one do not use the operator. */
  bodies: Partial<Record<FunctionSet, WriteBody>>;
}

export const inEverySet = (write: WriteBody): AltUpOperator['bodies'] => ({ paper: write, gemma: write });
