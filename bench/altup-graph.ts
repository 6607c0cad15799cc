import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { altupDomain, altupOpset } from '../src/export/altup/domain.ts';
import { altupFunctions } from '../src/export/altup/functions.ts';
import { int, text } from '../src/export/onnx/attributes.ts';
import { GraphBuilder } from '../src/export/onnx/graph-builder.ts';
import { writeModel } from '../src/export/onnx/model-file.ts';
import { weightOf } from '../src/export/onnx/weight.ts';
import { type LoadedAddon, loadNativeAddon, type NativeGraph } from '../src/runtime/native/native-addon.ts';
import { spinDurationUs } from '../src/runtime/spin-duration.ts';

/** A chain of CorrectPredict nodes, as between a model's layers: each corrects with the previous one's block. */
export interface Chain {
  blocks: number;
  width: number;
  tokens: number;
  nodes: number;
}

export function requireAddon(): LoadedAddon {
  const native = loadNativeAddon();
  if (native.addon === null) throw new Error(native.reason);
  return native;
}

/** Coefficients that keep values from growing or vanishing along the chain. */
function coefficients(k: number): { p: Float32Array; g: Float32Array } {
  const p = Float32Array.from({ length: k * k }, (_, i) =>
    i % (k + 1) === 0 ? 0.9 : 0.1 / Math.max(1, k - 1),
  );
  return { p, g: new Float32Array(k).fill(0.5) };
}

/** Opens the chain in one session, so that one run call executes `nodes` operators. */
export async function openChain(
  { addon, library }: LoadedAddon,
  { blocks: k, width, tokens, nodes }: Chain,
  options: { threads: number; kernels: boolean },
): Promise<NativeGraph> {
  const graph = new GraphBuilder('chain');
  graph.input('x0', 'float32', [k, 'n', width]);
  graph.input('y0', 'float32', ['n', width]);
  const { p, g } = coefficients(k);
  graph.weight(weightOf('p', [k, k], p));
  graph.weight(weightOf('g', [k], g));
  // The first node may not write over graph inputs; from the second on the chain runs in place.
  for (let i = 0; i < nodes; i += 1) {
    graph.add('CorrectPredict', `node${i}`, [`x${i}`, `y${i}`, 'g', 'p'], {
      domain: altupDomain,
      outputs: [`x${i + 1}`, `y${i + 1}`],
      attributes: { active: int(i % k), next: int((i + 1) % k), reads: text('corrected') },
    });
  }
  graph.output(`x${nodes}`, 'float32', [k, 'n', width]);
  const folder = await mkdtemp(join(tmpdir(), 'altup-bench-'));
  try {
    await writeModel(folder, graph, {
      producerVersion: 'bench',
      functions: altupFunctions(),
      opsets: [altupOpset],
    });
    const session = new addon.NativeGraph(library);
    // The same as in the service: otherwise threads of idle sessions would spin for longer next to the timed session.
    const config = { 'session.intra_op.spin_duration_us': spinDurationUs };
    await session.load({ path: join(folder, 'chain.onnx'), ...options, config });
    const ones = (dims: number[]) => {
      const values = new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1);
      return { element: 'float32' as const, dims, data: new Uint8Array(values.buffer) };
    };
    session.bind({ x0: ones([k, tokens, width]), y0: ones([tokens, width]) }, [`x${nodes}`]);
    return session;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Microseconds per node of a long CorrectPredict chain. For few tokens, a short chain is subtracted, so that the
 * call itself and the first node, which cannot work in place, cancel out.
 */
export async function nodeTimes(
  native: LoadedAddon,
  chain: Omit<Chain, 'nodes'>,
  variants: readonly { threads: number; kernels: boolean }[],
  rounds: number,
): Promise<number[][]> {
  const lengths = [4, 20] as const;
  const sessions = await Promise.all(
    variants.map((variant) =>
      Promise.all(lengths.map((nodes) => openChain(native, { ...chain, nodes }, variant))),
    ),
  );
  const isSmall = chain.tokens < 512;
  const runs = Math.max(5, Math.min(400, Math.round(400_000 / (chain.tokens * chain.width))));
  const fastest = async (session: NativeGraph) => {
    const times = (await session.time(runs)).sort((a, b) => a - b);
    return times[times.length >> 1] ?? Number.NaN;
  };
  const found: number[][] = variants.map(() => []);
  for (let round = -2; round < rounds; round += 1) {
    for (const [variant, [short, long]] of sessions.entries()) {
      const [of4, of20] = [await fastest(short!), await fastest(long!)];
      const perNode = (isSmall ? (of20 - of4) / (lengths[1] - lengths[0]) : of20 / lengths[1]) / 1000;
      if (round >= 0) found[variant]?.push(perNode);
    }
  }
  for (const session of sessions.flat()) await session.close();
  return found;
}
