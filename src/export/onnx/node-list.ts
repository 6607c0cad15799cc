import { create } from '@bufbuild/protobuf';
import { type NodeProto, NodeProtoSchema } from 'onnx-buf';
import { type Attributes, toAttributeProtos } from './attributes.ts';

export interface NodeOptions {
  attributes?: Attributes;
  /** Operator domain; empty means the standard operators. */
  domain?: string;
  /** Names of the outputs. Default: one output with the name of the node. */
  outputs?: readonly string[];
}

/** Nodes in execution order: the body of a graph or of a function. */
export class NodeList {
  readonly nodes: NodeProto[] = [];
  readonly #outputs = new Set<string>();

  /** Whether a node already computes `value`. */
  computes(value: string): boolean {
    return this.#outputs.has(value);
  }

  /**
   * Appends a node. `''` stands for an omitted optional input.
   * @returns the name of its first output
   */
  add(opType: string, name: string, inputs: readonly string[], options: NodeOptions = {}): string {
    const { attributes = {}, domain = '', outputs = [name] } = options;
    for (const output of outputs) {
      if (output !== '' && this.#outputs.has(output)) throw new Error(`two nodes compute ${output}`);
      this.#outputs.add(output);
    }
    this.nodes.push(
      create(NodeProtoSchema, {
        opType,
        name,
        domain,
        input: [...inputs],
        output: [...outputs],
        attribute: toAttributeProtos(attributes),
      }),
    );
    return outputs[0] ?? name;
  }
}
