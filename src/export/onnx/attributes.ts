import { create } from '@bufbuild/protobuf';
import { type AttributeProto, AttributeProtoSchema, AttributeProto_AttributeType as Kind } from 'onnx-buf';

/** Attribute values by name. ONNX distinguishes 1 from 1.0, so each value has an explicit kind. */
export type Attributes = Record<string, (name: string) => AttributeProto>;

type Attribute = Attributes[string];

const bytesOf = (text: string) => new TextEncoder().encode(text);

export const int =
  (value: number): Attribute =>
  (name) =>
    create(AttributeProtoSchema, { name, type: Kind.INT, i: BigInt(value) });

export const ints =
  (values: readonly number[]): Attribute =>
  (name) =>
    create(AttributeProtoSchema, { name, type: Kind.INTS, ints: values.map(BigInt) });

export const float =
  (value: number): Attribute =>
  (name) =>
    create(AttributeProtoSchema, { name, type: Kind.FLOAT, f: value });

export const text =
  (value: string): Attribute =>
  (name) =>
    create(AttributeProtoSchema, { name, type: Kind.STRING, s: bytesOf(value) });

/** Inside a function body: the value of the calling node's integer attribute `of`. */
export const callersInt =
  (of: string): Attribute =>
  (name) =>
    create(AttributeProtoSchema, { name, type: Kind.INT, refAttrName: of });

/** Inside a function body: the value of the calling node's float attribute `of`. */
export const callersFloat =
  (of: string): Attribute =>
  (name) =>
    create(AttributeProtoSchema, { name, type: Kind.FLOAT, refAttrName: of });

/** Inside a function body: the value of the calling node's string attribute `of`. */
export const callersText =
  (of: string): Attribute =>
  (name) =>
    create(AttributeProtoSchema, { name, type: Kind.STRING, refAttrName: of });

export function toAttributeProtos(attributes: Attributes): AttributeProto[] {
  return Object.entries(attributes).map(([name, make]) => make(name));
}
