import type { ValueInfoProto } from 'onnx-buf';
import { NodeList } from './node-list.ts';
import { type ElementType, type Shape, valueInfo } from './values.ts';
import type { TensorInfo, Weight } from './weight.ts';

/** An int64 constant. It stays inside the model file, where shape inference can read it. */
export interface IntegerConstant {
  name: string;
  dims: readonly number[];
  values: readonly number[];
}

/** A tensor that shares the bytes of tensor `of`, but has its own name and shape. */
export interface Alias extends TensorInfo {
  of: string;
}

/** Builds a graph. It only refers to weights; the writer streams them. */
export class GraphBuilder extends NodeList {
  readonly name: string;
  readonly #initializers = new Set<string>();
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  readonly annotations: ValueInfoProto[] = [];
  readonly weights: Weight[] = [];
  readonly aliases: Alias[] = [];
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

  /** Declares the shape of an intermediate value that shape inference cannot find before functions are inlined. */
  annotate(name: string, shape: Shape): void {
    this.annotations.push(valueInfo(name, 'float32', shape));
  }

  /** Adds a weight. @returns the name of its first tensor */
  weight(weight: Weight): string {
    for (const { name } of weight.tensors) this.#take(name);
    this.weights.push(weight);
    return weight.tensors[0]!.name;
  }

  /** Adds a second name and shape for a stored tensor. @returns the new name */
  alias(alias: Alias): string {
    this.#take(alias.name);
    this.aliases.push(alias);
    return alias.name;
  }

  #take(name: string): void {
    if (this.#initializers.has(name)) throw new Error(`two weights are called ${name}`);
    this.#initializers.add(name);
  }

  /** A one-dimensional int64 constant. Calls with the same values share one. */
  integers(...values: number[]): string {
    return this.#constant(`/constants/[${values.join(',')}]`, [values.length], values);
  }

  /** A scalar int64 constant, shared in the same way. */
  integer(value: number): string {
    return this.#constant(`/constants/${value}`, [], [value]);
  }

  #constant(name: string, dims: readonly number[], values: readonly number[]): string {
    this.constants.set(name, { name, dims, values });
    return name;
  }
}
