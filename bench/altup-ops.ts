import { nodeTimes, requireAddon } from './altup-graph.ts';
import { type BenchResult, median, spread } from './result.ts';
import { timeMixing } from './support/native-timing.ts';

const shapes = [
  { blocks: 4, width: 2048 },
  { blocks: 2, width: 768 },
];
const tokenCounts = [1, 8, 64, 512];
const rounds = 9;

const threadSuffix = (threads: number) => (threads === 1 ? '' : `-${threads}threads`);

/** Compares the CorrectPredict kernel with the function body, per node inside one session, and with memcpy. */
export async function run(): Promise<BenchResult> {
  const native = requireAddon();
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  for (const shape of shapes) {
    for (const tokens of tokenCounts) {
      for (const threads of tokens === 512 ? [1, 2] : [1]) {
        const variants = [
          { threads, kernels: false },
          { threads, kernels: true },
        ];
        const [body = [], kernel = []] = await nodeTimes(native, { ...shape, tokens }, variants, rounds);
        const name = `correct-predict-k${shape.blocks}-d${shape.width}-t${tokens}${threadSuffix(threads)}`;
        ratios[name] = median(body) / median(kernel);
        rows.push({
          what: name,
          'body µs': median(body),
          'body range': spread(body),
          'kernel µs': median(kernel),
          'kernel range': spread(kernel),
        });
      }
      for (const threads of tokens === 512 ? [1, 2] : [1]) {
        const length = tokens * shape.width;
        const repeats = Math.max(3, Math.round(2_000_000 / length));
        const times = timeMixing(shape.blocks, length, threads, 25, repeats);
        const kernel = median(times.kernel);
        // The kernel's bytes per second over those of the faster plain copy.
        const name = `memcpy-k${shape.blocks}-d${shape.width}-t${tokens}${threadSuffix(threads)}`;
        ratios[name] = Math.min(median(times.memcpy), median(times.copyLoop)) / kernel;
        rows.push({
          what: name,
          'kernel µs': kernel / 1000,
          'kernel range': spread(times.kernel.map((time) => time / 1000)),
          'memcpy µs': median(times.memcpy) / 1000,
          'copy loop µs': median(times.copyLoop) / 1000,
        });
      }
    }
  }
  return { name: 'altup-ops', rows, ratios };
}
