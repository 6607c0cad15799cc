import { create } from '@bufbuild/protobuf';
import { OperatorSetIdProtoSchema } from 'onnx-buf';

/**
 * Domain of the operators of Alternating Updates (arXiv 2301.13310, Algorithm 1). X is the widened representation
 * [K, …, d], with the K blocks outermost. A runtime with kernels of these names uses them; other runtimes use the
 * function bodies in the model.
 */
export const altupDomain = 'ai.altup';
export const altupOpset = create(OperatorSetIdProtoSchema, { domain: altupDomain, version: 1n });
