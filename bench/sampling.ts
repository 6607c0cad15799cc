import { Sampler } from '../src/sampling/sampler.ts';
import type { SamplingParameters } from '../src/sampling/sampling-request.ts';
import { SamplingState } from '../src/sampling/sampling-state.ts';
import { samplingRequest } from '../test/support/sampling-request.ts';
import { seededRandom } from '../test/support/seeded-random.ts';
import { requireAddon } from './altup-graph.ts';
import { type BenchResult, median, spread } from './result.ts';

const threads = 2;
const rounds = 9;

const kinds: Record<string, Partial<SamplingParameters>> = {
  greedy: {},
  'greedy-penalized': { repetitionPenalty: 1.1 },
  'top-k-p': { temperature: 0.8, topK: 50, topP: 0.95 },
  'top-p': { temperature: 0.8, topP: 0.95 },
  plain: { temperature: 1 },
};

/** Logits that follow Zipf's law, like a model's: probabilities fall with the 1.3rd power of a token's rank. */
function modelLikeLogits(count: number, vocabSize: number): Float32Array {
  const random = seededRandom(count);
  return Float32Array.from({ length: count }, () => -1.3 * Math.log(1 + vocabSize * random.next()));
}

/** Compares the native sampler with the one in TypeScript, for one step's tokens on the same logits. */
export async function run(): Promise<BenchResult> {
  const { addon } = requireAddon();
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  for (const vocabSize of [2048, 32_128, 262_400]) {
    const portable = new Sampler(vocabSize);
    for (const batch of [1, 8]) {
      const logits = modelLikeLogits(batch * vocabSize, vocabSize);
      const own = Array.from({ length: batch }, (_, row) =>
        logits.subarray(row * vocabSize, (row + 1) * vocabSize),
      );
      const native = new addon.NativeRowSampler(threads);
      for (const [kind, parameters] of Object.entries(kinds)) {
        const request = samplingRequest({ parameters });
        const states = own.map(() => new SamplingState(request));
        const samplings = own.map(() => new addon.NativeSampling(request, vocabSize));
        const steps = Math.max(2, Math.round(2_000_000 / (batch * vocabSize)));
        const times = { native: [] as number[], portable: [] as number[] };
        const measure = (name: keyof typeof times, step: () => void, isWarm: boolean) => {
          const start = performance.now();
          for (let i = 0; i < steps; i += 1) step();
          if (isWarm) times[name].push((performance.now() - start) / steps);
        };
        for (let round = -2; round < rounds; round += 1) {
          measure('native', () => native.sample(logits, samplings), round >= 0);
          const sampleAll = () => {
            for (const [i, row] of own.entries()) portable.sample(row, states[i]!);
          };
          measure('portable', sampleAll, round >= 0);
        }
        const key = `${kind}-v${vocabSize}-b${batch}`;
        ratios[key] = median(times.portable) / median(times.native);
        rows.push({
          case: key,
          'native µs': median(times.native) * 1000,
          'native range': spread(times.native.map((time) => time * 1000)),
          'TypeScript µs': median(times.portable) * 1000,
        });
      }
    }
  }
  return { name: 'sampling', rows, ratios };
}
