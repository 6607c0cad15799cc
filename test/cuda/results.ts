import type { Precision } from '../../src/catalog/manifest.ts';
import type { Speed } from './speed.ts';

/** docs/gpu.json: what the checks on a GPU found. */
export interface GpuResults {
  /** Name, driver and memory, as nvidia-smi writes them. */
  device: string;
  /** Compute capability: 80 for 8.0. */
  capability: number;
  operators: 'agree' | 'differ' | 'not compared' | 'not run';
  parity: { model: string; precision: Precision; differences: string[] }[];
  /** Times of Gemma 3n with 300 M parameters, with AltUp and without (`plain`). */
  speed: ({ model: 'altup' | 'plain'; precision: Precision } & Speed)[];
  /** What the time did not suffice for. */
  notMeasured: string[];
}

/** The results as Markdown. */
export function rendered(results: GpuResults): string {
  const { device, capability, operators, parity, speed, notMeasured } = results;
  const failed = parity.filter(({ differences }) => differences.length > 0);
  const list = (rows: readonly { model: string; precision: string }[]) =>
    rows.map(({ model, precision }) => `${model} ${precision}`).join(', ');
  const batches = speed[0]?.steps.map(({ batch }) => batch) ?? [];
  const columns = [
    'model',
    'kernels',
    'prompt of 512',
    ...batches.map((batch) => `step of ${batch} (ONNX Runtime)`),
  ];
  const rows = speed.map(({ model, kernels, promptMs, steps }) => [
    model,
    kernels ? 'ours' : 'function bodies',
    `${promptMs.toFixed(1)} ms`,
    ...steps.map(({ ms, runMs }) => `${ms.toFixed(2)} ms (${runMs.toFixed(2)})`),
  ]);
  const table = [columns, columns.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return [
    `${device}, compute capability ${capability / 10}. Operators and sampler: ${operators}.`,
    `Tokens as on the CPU and with the function bodies: ${list(parity.filter((row) => !failed.includes(row)))}.`,
    ...(failed.length > 0 ? [`Different: ${list(failed)}.`] : []),
    ...(notMeasured.length > 0 ? [`Not measured, because time was up: ${notMeasured.join(', ')}.`] : []),
    '',
    ...table,
  ].join('\n');
}
