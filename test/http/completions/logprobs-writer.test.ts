import { describe, expect, it } from 'vitest';
import { LogprobsWriter } from '../../../src/http/completions/logprobs-writer.ts';
import { eos, fakeTokenizer } from '../../support/fake-tokenizer.ts';

const tokenizer = fakeTokenizer();
const options = { alternatives: 5, skipSpecialTokens: true, startsText: true };
const tokens = (text: string) => tokenizer.encode(text, false);
const flat = (ids: readonly number[]) => ids.map(() => ({ logprob: -1, top: [] }));

async function offsets(
  ids: readonly number[],
  changes: Partial<typeof options> = {},
  bySize = ids.length,
): Promise<number[]> {
  const writer = new LogprobsWriter(tokenizer, { ...options, ...changes });
  const found: number[] = [];
  for (let at = 0; at < ids.length; at += bySize) {
    const part = ids.slice(at, at + bySize);
    found.push(...(await writer.write(part, flat(part))).text_offset);
  }
  return found;
}

describe('text_offset', () => {
  it('counts characters, not bytes, whatever comes at a time', async () => {
    expect(await offsets(tokens('aé𝄞b'))).toEqual([0, 1, 2, 2, 3, 3, 3, 3]);
    expect(await offsets(tokens('aé𝄞b'), {}, 1)).toEqual(await offsets(tokens('aé𝄞b')));
  });

  it('leaves out the space the decoder drops before the first word', async () => {
    expect(await offsets(tokens(' ab c'))).toEqual([0, 0, 1, 2, 3]);
  });

  it('keeps it where the text goes on with the prompt', async () => {
    const ids = tokens(' ab');
    expect(await offsets(ids, { startsText: false })).toEqual([0, 1, 2]);
  });

  it('counts special tokens only where they are in the text', async () => {
    const ids = [...tokens('a'), eos, ...tokens('b')];
    expect(await offsets(ids)).toEqual([0, 1, 1]);
    expect(await offsets(ids, { skipSpecialTokens: false })).toEqual([0, 1, 5]);
  });
});

describe('probabilities', () => {
  it('are never infinite, and the token’s own is always among the top', async () => {
    const [a, b, c] = tokens('abc');
    const written = await new LogprobsWriter(tokenizer, options).write(
      [a!],
      [
        {
          logprob: -3,
          top: [
            { token: b!, logprob: -0.1 },
            { token: c!, logprob: Number.NEGATIVE_INFINITY },
          ],
        },
      ],
    );
    expect(written.token_logprobs).toEqual([-3]);
    expect(written.top_logprobs).toEqual([{ a: -3, b: -0.1, c: -9999 }]);
  });

  it('write bytes that are no character as such', async () => {
    const [first] = tokens('é');
    const written = await new LogprobsWriter(tokenizer, options).write([first!], flat([first!]));
    expect(written.tokens).toEqual(['bytes:\\xc3']);
  });
});
