import { describe, expect, it } from 'vitest';
import { LogprobsWriter } from '../../../src/http/completions/logprobs-writer.ts';
import { eos, fakeTokenizer } from '../../support/fake-tokenizer.ts';

const tokenizer = fakeTokenizer();
const options = { alternatives: 5, skipSpecialTokens: true, startsText: true };
const tokens = (text: string) => tokenizer.encode(text, false);
const flat = (ids: readonly number[]) => ids.map(() => ({ logprob: -1, top: [] }));

function offsets(
  ids: readonly number[],
  changes: Partial<typeof options> = {},
  bySize = ids.length,
): number[] {
  const writer = new LogprobsWriter(tokenizer, { ...options, ...changes });
  const found: number[] = [];
  for (let at = 0; at < ids.length; at += bySize) {
    const part = ids.slice(at, at + bySize);
    found.push(...writer.write(part, flat(part)).text_offset);
  }
  return found;
}

describe('text_offset', () => {
  it('counts characters, not bytes, whatever comes at a time', () => {
    expect(offsets(tokens('aé𝄞b'))).toEqual([0, 1, 2, 2, 3, 3, 3, 3]);
    expect(offsets(tokens('aé𝄞b'), {}, 1)).toEqual(offsets(tokens('aé𝄞b')));
  });

  it('leaves out the space the decoder drops before the first word', () => {
    expect(offsets(tokens(' ab c'))).toEqual([0, 0, 1, 2, 3]);
  });

  it('keeps it where the text goes on with the prompt', () => {
    const ids = tokens(' ab');
    expect(offsets(ids, { startsText: false })).toEqual([0, 1, 2]);
  });

  it('counts special tokens only where they are in the text', () => {
    const ids = [...tokens('a'), eos, ...tokens('b')];
    expect(offsets(ids)).toEqual([0, 1, 1]);
    expect(offsets(ids, { skipSpecialTokens: false })).toEqual([0, 1, 5]);
  });
});

describe('probabilities', () => {
  it('are never infinite, and the token’s own is always among the top', () => {
    const [a, b, c] = tokens('abc');
    const written = new LogprobsWriter(tokenizer, options).write(
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

  it('write bytes that are no character as such', () => {
    const [first] = tokens('é');
    expect(new LogprobsWriter(tokenizer, options).write([first!], flat([first!])).tokens).toEqual([
      'bytes:\\xc3',
    ]);
  });
});
