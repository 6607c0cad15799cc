import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { byteLevelTokenizer } from '../support/tiny-tokenizers.ts';

interface Choice {
  text: string;
  token_ids: number[];
  logprobs: { token_logprobs: (number | null)[]; top_logprobs: (Record<string, number> | null)[] };
  prompt_logprobs: (Record<string, { logprob: number; rank: number }> | null)[];
}

/** A Gemma 3n whose tokenizer has exactly as many tokens as its vocabulary: the first bytes. */
async function tinyGemma(): Promise<string> {
  const folder = await copyCheckpoint('gemma3n-k2');
  const tokenizer = byteLevelTokenizer() as { model: { vocab: Record<string, number>; merges: unknown[] } };
  const vocab = Object.entries(tokenizer.model.vocab).filter(([, id]) => id < 96);
  tokenizer.model = { ...tokenizer.model, vocab: Object.fromEntries(vocab), merges: [] };
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeFile(join(folder, 'tokenizer_config.json'), '{}');
  return folder;
}

it('a decoder-only model scores what it generated as it did then, whatever the chunks', async () => {
  const service = await ServiceProcess.start({ ALTUP_MODELS: await tinyGemma(), ALTUP_PREFILL_CHUNK: '7' });
  onTestFinished(async () => {
    await service.stop();
  });
  const complete = async (body: object): Promise<Choice> => {
    const response = await service.post('/v1/completions', {
      temperature: 0,
      return_token_ids: true,
      ...body,
    });
    expect(response.status).toBe(200);
    return ((await response.json()) as { choices: Choice[] }).choices[0]!;
  };
  const prompt = Array.from({ length: 20 }, (_, i) => 40 + ((i * 7) % 50));
  const made = await complete({ prompt, max_tokens: 12, ignore_eos: true, logprobs: 3 });
  expect(made.token_ids).toHaveLength(12);

  const whole = [...prompt, ...made.token_ids];
  const scored = await complete({
    prompt: whole,
    max_tokens: 0,
    echo: true,
    logprobs: 3,
    prompt_logprobs: 0,
  });
  expect(scored.token_ids).toEqual([]);
  expect(scored.logprobs.token_logprobs).toHaveLength(whole.length);
  expect(scored.logprobs.token_logprobs[0]).toBeNull();
  const again = scored.logprobs.token_logprobs.slice(prompt.length);
  for (const [i, logprob] of made.logprobs.token_logprobs.entries()) {
    expect(again[i]!).toBeCloseTo(logprob!, 3);
    expect(Object.keys(scored.logprobs.top_logprobs[prompt.length + i]!)).toEqual(
      Object.keys(made.logprobs.top_logprobs[i]!),
    );
    const own = scored.prompt_logprobs[prompt.length + i]![String(made.token_ids[i])]!;
    expect(own).toMatchObject({ rank: 1, logprob: again[i] });
  }
});
