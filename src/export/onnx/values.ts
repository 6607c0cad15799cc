import { create } from '@bufbuild/protobuf';
import { TensorProto_DataType, type ValueInfoProto, ValueInfoProtoSchema } from 'onnx-buf';

export const elementTypes = {
  float32: TensorProto_DataType.FLOAT,
  float16: TensorProto_DataType.FLOAT16,
  bfloat16: TensorProto_DataType.BFLOAT16,
  uint8: TensorProto_DataType.UINT8,
  int32: TensorProto_DataType.INT32,
  int64: TensorProto_DataType.INT64,
} as const;

export type ElementType = keyof typeof elementTypes;

export const bytesPerElement: Readonly<Record<ElementType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  uint8: 1,
  int32: 4,
  int64: 8,
};

/** Fixed dimensions are numbers; dimensions known only at run time are names. */
export type Shape = readonly (number | string)[];

/** Declares a graph input, output or intermediate value. */
export function valueInfo(name: string, type: ElementType, shape: Shape): ValueInfoProto {
  const dim = shape.map((size) => ({
    value:
      typeof size === 'number'
        ? { case: 'dimValue' as const, value: BigInt(size) }
        : { case: 'dimParam' as const, value: size },
  }));
  const tensorType = { elemType: elementTypes[type], shape: { dim } };
  return create(ValueInfoProtoSchema, { name, type: { value: { case: 'tensorType', value: tensorType } } });
}
