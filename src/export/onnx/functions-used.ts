import type { FunctionProto, NodeProto } from 'onnx-buf';

/** Those of `functions` that one of `nodes` calls. */
export function functionsUsed(
  nodes: readonly NodeProto[],
  functions: readonly FunctionProto[],
): FunctionProto[] {
  const used = new Set(nodes.map(({ domain, opType }) => `${domain}.${opType}`));
  return functions.filter(({ domain, name }) => used.has(`${domain}.${name}`));
}
