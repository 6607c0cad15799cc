import type { ValueInfoProto } from 'onnx-buf';
import { NodeList } from './node-list.ts';
import { type ElementType, type Shape, valueInfo } from './values.ts';
import type { Weight } from './weight.ts';

/** int64 constants stay inside the model file: shape inference reads them there. */
export interface IntegerConstant {
  name: string;
  dims: readonly number[];
  values: readonly number[];
}

/** A graph under construction. Weights are only referred to; the writer streams them. */
export class GraphBuilder extends NodeList {
  readonly name: string;
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  readonly annotations: ValueInfoProto[] = [];
  readonly weights = new Map<string, Weight>();
  readonly constants = new Map<string, IntegerConstant>();

  constructor(name: string) {
    super();
    this.name = name;
  }

  input(name: string, type: ElementType, shape: Shape): string {
    this.inputs.push(valueInfo(name, type, shape));
    return name;
  }

  output(name: string, type: ElementType, shape: Shape): void {
    this.outputs.push(valueInfo(name, type, shape));
  }

  /** States the shape of an intermediate value that shape inference could not find before functions are inlined. */
  annotate(name: string, shape: Shape): void {
    this.annotations.push(valueInfo(name, 'float32', shape));
  }

  weight(weight: Weight): string {
    if (this.weights.has(weight.name)) throw new Error(`two weights are called ${weight.name}`);
    this.weights.set(weight.name, weight);
    return weight.name;
  }

  /** A one-dimensional int64 constant, shared by all who ask for the same values. */
  integers(...values: number[]): string {
    return this.#constant(`/constants/[${values.join(',')}]`, [values.length], values);
  }

  /** A scalar int64 constant, shared likewise. */
  integer(value: number): string {
    return this.#constant(`/constants/${value}`, [], [value]);
  }

  #constant(name: string, dims: readonly number[], values: readonly number[]): string {
    this.constants.set(name, { name, dims, values });
    return name;
  }
}
