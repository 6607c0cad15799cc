import type { FunctionProto, NodeProto } from 'onnx-buf';

/** Returns the `functions` that `nodes` call. */
export function functionsUsed(
  nodes: readonly NodeProto[],
  functions: readonly FunctionProto[],
): FunctionProto[] {
  const used = new Set(nodes.map(({ domain, opType }) => `${domain}.${opType}`));
  return functions.filter(({ domain, name }) => used.has(`${domain}.${name}`));
}
