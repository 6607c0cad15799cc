import { expect, it, onTestFinished } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

interface Choice {
  text: string;
  token_ids: number[];
  logprobs: { tokens: string[]; token_logprobs: number[]; text_offset: number[] };
}

const models = ['austen-t5-dense', 'austen-t5-altup-k2', 'austen-t5-recycled-k2'] as const;

it.each(['native', 'onnxruntime-node'])(
  'encoder-decoder models go on from what is given and score it, as when they made it: %s',
  async (backend) => {
    const service = await ServiceProcess.start({
      ALTUP_MODELS: models.map((model) => `models/${model}`).join(),
      ALTUP_BACKEND: backend,
      ALTUP_PREFILL_CHUNK: '7',
    });
    onTestFinished(async () => {
      await service.stop();
    });
    const complete = async (body: object): Promise<{ choices: Choice[]; usage: object }> => {
      const fields = { temperature: 0, ignore_eos: true, return_token_ids: true, logprobs: 2, ...body };
      const response = await service.post('/v1/completions', fields);
      const answer = (await response.json()) as { choices: Choice[]; usage: object };
      expect(answer).toMatchObject({ choices: expect.anything() });
      return answer;
    };
    for (const model of models) {
      const prompt = ['It is a truth universally', 'Emma'];
      const made = (await complete({ model, prompt, max_tokens: 30 })).choices;
      const prefixes = made.map(({ token_ids }, i) => token_ids.slice(0, 20 - 7 * i));
      const { choices: ahead, usage } = await complete({
        model,
        prompt,
        completion_prefix: prefixes,
        echo: true,
        max_tokens: 10,
      });
      const promptTokens = (await complete({ model, prompt, max_tokens: 1 })).usage;
      const given = prefixes.flat().length;
      const { prompt_tokens } = promptTokens as { prompt_tokens: number };
      expect(usage).toMatchObject({ prompt_tokens: prompt_tokens + given, completion_tokens: 20 });
      for (const [i, { token_ids, logprobs, text }] of made.entries()) {
        const whole = prefixes[i]!.length + 10;
        expect(ahead[i]!.token_ids).toEqual(token_ids.slice(prefixes[i]!.length, whole));
        expect(text.startsWith(ahead[i]!.text)).toBe(true);
        expect(ahead[i]!.logprobs.tokens).toEqual(logprobs.tokens.slice(0, whole));
        expect(ahead[i]!.logprobs.text_offset).toEqual(logprobs.text_offset.slice(0, whole));
        for (const [at, logprob] of ahead[i]!.logprobs.token_logprobs.entries())
          expect(Math.abs(logprob - logprobs.token_logprobs[at]!)).toBeLessThan(1e-3);
      }
      // The prefix as a text, for each prompt, without generated tokens.
      const text = 'that a single man in possession';
      const [scored, alike] = (
        await complete({
          model,
          prompt: [prompt[0], prompt[0]],
          completion_prefix: text,
          echo: true,
          max_tokens: 0,
        })
      ).choices;
      expect(scored).toMatchObject({ text, token_ids: [] });
      expect(alike!.logprobs).toEqual(scored!.logprobs);
      const later = await complete({ model, prompt: prompt[0], completion_prefix: text, max_tokens: 4 });
      expect(later.choices[0]!.logprobs.tokens).toHaveLength(4);
    }
  },
);
