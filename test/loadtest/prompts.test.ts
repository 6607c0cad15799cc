import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { builtInText, promptsFromFile, promptsFromText } from '../../src/loadtest/load/prompts.ts';
import { randomStream } from '../../src/loadtest/load/random-stream.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const randoms = (seed: number) => ({
  place: randomStream(seed, 'prompts'),
  promptLength: randomStream(seed, 'prompt lengths'),
  outputLength: randomStream(seed, 'output lengths'),
});
const many = (next: () => unknown) => Array.from({ length: 50 }, next);

describe('the built-in text', () => {
  const prompts = (seed: number) =>
    promptsFromText(
      builtInText(),
      () => 12,
      () => 7,
      randoms(seed),
    );

  it('gives prompts of the words asked for, which begin differently and are the same for the same seed', () => {
    const found = many(prompts(1)) as { text: string; maxTokens: number }[];
    for (const { text, maxTokens } of found) {
      expect(text.split(' ')).toHaveLength(12);
      expect(maxTokens).toBe(7);
    }
    expect(new Set(found.map(({ text }) => text.slice(0, 20))).size).toBeGreaterThan(45);
    expect(many(prompts(1))).toEqual(found);
    expect(many(prompts(2))).not.toEqual(found);
  });
});

describe('promptsFromFile', () => {
  const fileOf = async (text: string) => {
    const file = join(await temporaryFolder(), 'prompts');
    await writeFile(file, text);
    return file;
  };

  it('takes lines of text and of JSON, with lengths of their own', async () => {
    const next = promptsFromFile(
      await fileOf('One\n{"prompt": "Two", "max_tokens": 3}\n\n'),
      () => 9,
      randoms(1),
    );
    expect(new Set(many(next).map((each) => JSON.stringify(each)))).toEqual(
      new Set(['{"text":"One","maxTokens":9}', '{"text":"Two","maxTokens":3}']),
    );
  });

  it.each([
    ['', /--prompts: .* holds no prompt/],
    ['{"prompt": ', /--prompts: line 1 of .* is not JSON/],
    ['{"text": "a"}', /--prompts: line 1 of .* has no "prompt"/],
    ['a\n{"prompt": "b", "max_tokens": 0}', /--prompts: "max_tokens" in line 2/],
  ])('refuses %j', async (text, message) => {
    const file = await fileOf(text);
    expect(() => promptsFromFile(file, () => 9, randoms(1))).toThrow(message);
  });
});
