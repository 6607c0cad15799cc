import { create } from '@bufbuild/protobuf';
import { type FunctionProto, FunctionProtoSchema } from 'onnx-buf';
import { callersFloat, callersInt, callersText, float, int, ints, text } from './attributes.ts';
import { NodeList } from './node-list.ts';
import { microsoftOpset, standardOpset } from './opset.ts';

export interface FunctionSignature {
  domain: string;
  name: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: readonly string[];
  /** What the function computes, for people who open the model. */
  doc: string;
}

/** Builds a model-local function: it implements one of our operators with standard or ONNX Runtime operators. */
export class FunctionBody extends NodeList {
  readonly #signature: FunctionSignature;

  constructor(signature: FunctionSignature) {
    super();
    this.#signature = signature;
  }

  /** int64 [values.length] */
  integers(name: string, values: readonly number[]): string {
    return this.add('Constant', name, [], { attributes: { value_ints: ints(values) } });
  }

  /** int64 scalar */
  integer(name: string, value: number): string {
    return this.add('Constant', name, [], { attributes: { value_int: int(value) } });
  }

  /** float32 scalar */
  float(name: string, value: number): string {
    return this.add('Constant', name, [], { attributes: { value_float: float(value) } });
  }

  /** string scalar */
  text(name: string, value: string): string {
    return this.add('Constant', name, [], { attributes: { value_string: text(value) } });
  }

  /** The calling node's integer attribute `name`: int64 scalar. */
  integerAttribute(name: string): string {
    return this.add('Constant', name, [], { attributes: { value_int: callersInt(name) } });
  }

  /** The calling node's float attribute `name`: float32 scalar. */
  floatAttribute(name: string): string {
    return this.add('Constant', name, [], { attributes: { value_float: callersFloat(name) } });
  }

  /** The calling node's string attribute `name`: string scalar. */
  textAttribute(name: string): string {
    return this.add('Constant', name, [], { attributes: { value_string: callersText(name) } });
  }

  toProto(): FunctionProto {
    const { domain, name, inputs, outputs, attributes, doc } = this.#signature;
    return create(FunctionProtoSchema, {
      domain,
      name,
      docString: doc,
      input: [...inputs],
      output: [...outputs],
      attribute: [...attributes],
      node: this.nodes,
      opsetImport: [standardOpset, microsoftOpset],
    });
  }
}
