import { readFile } from 'node:fs/promises';
import { Tokenizer } from '../src/catalog/tokenizer/tokenizer.ts';
import { realGemma, setup } from '../test/real/real-weights.ts';
import { type BenchResult, median, spread } from './result.ts';
import { EngineAlone } from './support/engine-alone.ts';

const maxTokens = 128;
const rounds = 5;

/** Compares one stream of Gemma 3 270M in int8 with prompt lookup and without, and whether the tokens are the same. */
export async function run(): Promise<BenchResult> {
  setup();
  const text = await readFile(new URL('austen-held-out.txt', import.meta.url), 'utf8');
  const tokenizer = Tokenizer.load(realGemma);
  const passage = (i: number) => text.slice(3000 * (i + 1), 3000 * (i + 1) + 700);
  const kinds = {
    // A base model continues a text that it has read once with what it read.
    'repeats a passage': (i: number) => `${passage(i)}\n\n${passage(i)}\n\n${passage(i).slice(0, 120)}`,
    'free text': passage,
  };
  // Greedily, a small model soon repeats itself, and that is easy to guess.
  const sampling = { 'repeats a passage': {}, 'free text': { temperature: 0.8, seed: [1, 0] as const } };
  const open = (promptLookup: boolean) => EngineAlone.open(realGemma, { slots: 1, promptLookup }, 'int8');
  const [fast, slow] = [await open(true), await open(false)];
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  let isSame = true;
  for (const kind of ['repeats a passage', 'free text'] as const) {
    const speedups: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const prompt = tokenizer.encode(kinds[kind](round));
      const rates = new Map<EngineAlone, number>();
      const answers: string[] = [];
      for (const engine of round % 2 === 0 ? [fast, slow] : [slow, fast]) {
        const { tokens, generationMs } = await engine.complete(prompt, maxTokens, {
          cacheSalt: `${round}`,
          sampling: sampling[kind],
        });
        rates.set(engine, (maxTokens - 1) / generationMs);
        answers.push(tokens.join());
      }
      isSame &&= answers[0] === answers[1];
      speedups.push(rates.get(fast)! / rates.get(slow)!);
    }
    ratios[`prompt-lookup-${kind.split(' ')[0]}`] = median(speedups);
    rows.push({ text: kind, 'with ÷ without': median(speedups), range: spread(speedups) });
  }
  ratios['same-tokens'] = isSame ? 1 : 0;
  await Promise.all([fast.close(), slow.close()]);
  return { name: 'prompt-lookup', rows, ratios };
}
