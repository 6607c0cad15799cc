/** Where ONNX Runtime placed the nodes of a model. */
export interface Placement {
  /** Number of nodes on CUDA. */
  onCuda: number;
  /** Names of the nodes on the CPU. */
  onCpu: string[];
  /** Nodes that ONNX Runtime added to copy values between host and device. */
  copies: string[];
}

/** Reads ONNX Runtime's verbose log: the part of each model follows a line `# <model>`. */
export function readPlacements(log: string): Map<string, Placement> {
  const placements = new Map<string, Placement>();
  for (const part of log.split(/^# /m).slice(1)) {
    const placement: Placement = { onCuda: 0, onCpu: [], copies: [] };
    let provider = '';
    for (const line of part.split('\n').filter((each) => each.includes('VerifyEachNodeIsAssignedToAnEp'))) {
      const [, name, count] = /placed on \[(\w+)\]\. Number of nodes: (\d+)/.exec(line) ?? [];
      provider = name ?? provider;
      if (name === 'CUDAExecutionProvider') placement.onCuda += Number(count);
      const [, operator, node] = /\] +(\w+) \((.*)\)/.exec(line) ?? [];
      if (operator?.startsWith('Memcpy')) placement.copies.push(operator);
      else if (node !== undefined && provider === 'CPUExecutionProvider') placement.onCpu.push(node);
    }
    placements.set(part.slice(0, part.indexOf('\n')), placement);
  }
  return placements;
}
