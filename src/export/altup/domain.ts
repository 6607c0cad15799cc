import { create } from '@bufbuild/protobuf';
import { OperatorSetIdProtoSchema } from 'onnx-buf';

/**
 * The operators of Alternating Updates (arXiv 2301.13310, Algorithm 1). X is the widened representation,
 * K blocks outermost: [K, …, d]. A runtime with kernels of these names uses them; any other uses the
 * bodies stored in the model.
 */
export const altupDomain = 'ai.altup';
export const altupOpset = create(OperatorSetIdProtoSchema, { domain: altupDomain, version: 1n });
