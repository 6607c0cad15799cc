import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { NativeSession } from '../../src/runtime/native/native-session.ts';
import type { SampledToken } from '../../src/sampling/sampled-token.ts';
import { samplingRequest } from '../../test/support/sampling-request.ts';
import { requireAddon } from '../altup-graph.ts';
import { MidSizeGemma3n } from '../mid-size-gemma3n.ts';
import { type BenchResult, median, spread } from '../result.ts';
import { type GenerationJob, type GenerationTimes, TransformersProcess } from './transformers-process.ts';

const threads = 2;
const promptLength = 128;
const models = join(import.meta.dirname, '../../models');

interface Candidate {
  name: string;
  checkpoint: string;
  tokens: number;
  rounds: number;
}

/** Same checkpoint, prompts and threads, in alternating rounds; float32, greedy. */
export async function compareWithTransformers(result: BenchResult): Promise<void> {
  const midSize = await MidSizeGemma3n.write();
  const trained = ['austen-gemma3', 'austen-gemma3n'].filter((id) => existsSync(join(models, id)));
  const candidates: Candidate[] = [
    ...trained.map((name) => ({ name, checkpoint: join(models, name), tokens: 65, rounds: 7 })),
    { name: 'gemma3n-300m', checkpoint: midSize.checkpoint, tokens: 17, rounds: 5 },
  ];
  for (const candidate of candidates) await compare(candidate, result);
  await midSize.remove();
}

async function compare({ name, checkpoint, tokens, rounds }: Candidate, result: BenchResult): Promise<void> {
  const out = await mkdtemp(join(tmpdir(), 'altup-bench-peers-'));
  const { folder, manifest } = await ensureExport(checkpoint, 'fp32', { out: join(out, 'fp32') });
  const options = { folder, slots: 8, maxContext: 512, threads };
  const session = await NativeSession.open(manifest, options, requireAddon());
  const peer = new TransformersProcess(checkpoint, threads);
  const prompt = Array.from({ length: promptLength }, (_, n) => 300 + n);
  for (const batch of [1, 8]) {
    const job = { batch, prompt, tokens };
    const [ours, theirs]: GenerationTimes[][] = [[], []];
    for (let round = -1; round < rounds; round += 1) {
      const times = [await generate(session, job), await peer.generate(job)] as const;
      if (round < 0) continue;
      ours!.push(times[0]);
      theirs!.push(times[1]);
    }
    const ratio = (figure: keyof GenerationTimes) =>
      theirs!.map((times, round) => times[figure] / ours![round]![figure]);
    result.ratios[`transformers-${name}-b${batch}`] = median(ratio('stepMs'));
    result.ratios[`transformers-first-token-${name}-b${batch}`] = median(ratio('firstMs'));
    for (const [figure, label] of [
      ['stepMs', 'decode step'],
      ['firstMs', 'first token'],
    ] as const) {
      result.rows.push({
        model: name,
        batch,
        what: label,
        'ours ms': median(ours!.map((times) => times[figure])),
        'transformers ms': median(theirs!.map((times) => times[figure])),
        ratio: median(ratio(figure)),
        'ratio, range': spread(ratio(figure)),
      });
    }
  }
  await peer.close();
  await session.close();
  await rm(out, { recursive: true });
}

/** Generates as the engine does: prompts one after the other, then all rows as one batch. */
async function generate(
  session: NativeSession,
  { batch, prompt, tokens }: GenerationJob,
): Promise<GenerationTimes> {
  const rows = [];
  const start = performance.now();
  for (let slot = 0; slot < batch; slot += 1) {
    const sampling = session.startSampling(samplingRequest());
    const { sampled } = await session.prefill(slot, prompt, 0, sampling);
    rows.push({ token: sampled!.token, sampling });
  }
  const first = performance.now();
  for (let step = 0; step < tokens - 1; step += 1) {
    const past = prompt.length + step;
    const chosen = await session.decode(rows.map((row) => ({ ...row, past })));
    for (const [slot, row] of rows.entries()) row.token = (chosen[slot] as SampledToken).token;
  }
  return { firstMs: first - start, stepMs: (performance.now() - first) / (tokens - 1) };
}
