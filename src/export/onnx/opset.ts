import { create } from '@bufbuild/protobuf';
import { OperatorSetIdProtoSchema } from 'onnx-buf';

/** ONNX 1.18: the first opset with RMSNormalization. */
export const standardOpset = create(OperatorSetIdProtoSchema, { domain: '', version: 23n });

/** ONNX Runtime's own operators, such as GroupQueryAttention and MultiHeadAttention; always version 1. */
export const microsoftDomain = 'com.microsoft';
export const microsoftOpset = create(OperatorSetIdProtoSchema, { domain: microsoftDomain, version: 1n });

/** The IR version of ONNX 1.18. */
export const irVersion = 11n;
