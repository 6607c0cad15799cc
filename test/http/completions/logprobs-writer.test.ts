import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../../src/catalog/tokenizer/tokenizer.ts';
import { Detokenizer } from '../../../src/engine/worker/output-text.ts';
import { echoPrompt } from '../../../src/http/completions/echoed-prompt.ts';
import { LogprobsWriter } from '../../../src/http/completions/logprobs-writer.ts';
import { TokenTexts } from '../../../src/http/generation/answer-parts.ts';
import { eos, fakeTokenizer } from '../../support/fake-tokenizer.ts';
import { seededRandom } from '../../support/seeded-random.ts';

const tokenizer = fakeTokenizer();
const options = { alternatives: 5, skipSpecialTokens: true, startsText: true };
const tokens = (text: string) => tokenizer.encode(text, false);
const flat = (ids: readonly number[]) => ids.map(() => ({ logprob: -1, top: [] }));

const writerOf = (vocabulary: Tokenizer | typeof tokenizer, given: typeof options) =>
  new LogprobsWriter(vocabulary, new TokenTexts(vocabulary), given);

async function offsets(
  ids: readonly number[],
  changes: Partial<typeof options> = {},
  bySize = ids.length,
): Promise<number[]> {
  const writer = writerOf(tokenizer, { ...options, ...changes });
  const found: number[] = [];
  for (let at = 0; at < ids.length; at += bySize) {
    const part = ids.slice(at, at + bySize);
    found.push(...(await writer.write({ tokens: part, logprobs: flat(part) })).text_offset);
  }
  return found;
}

describe('text_offset', () => {
  it('counts characters, not bytes, whatever comes at a time', async () => {
    expect(await offsets(tokens('aé𝄞b'))).toEqual([0, 1, 1, 2, 2, 2, 2, 3]);
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

describe('text_offset behind an echoed prompt', () => {
  const skipping = { isWhole: true, skipSpecialTokens: true, hasLogprobs: true };

  /** A choice as the server answers it: its text, the tokens' offsets, and the piece of text at each offset. */
  async function answered(
    vocabulary: Tokenizer | typeof tokenizer,
    prompt: string | number[],
    ids: readonly number[],
    completion: readonly number[],
    skipSpecialTokens = true,
  ) {
    const echoed = await echoPrompt(prompt, ids, vocabulary, { ...skipping, skipSpecialTokens });
    const decoder = new Detokenizer(vocabulary, { skipSpecialTokens, startsText: false });
    const text = echoed.text + completion.map((id) => decoder.add(id)).join('') + decoder.flush();
    const writer = writerOf(vocabulary, { alternatives: 0, skipSpecialTokens, startsText: false });
    const { text_offset: starts } = await writer.write(
      { tokens: completion, logprobs: flat(completion) },
      { tokens: ids, logprobs: flat(ids), prompt: echoed },
    );
    const characters = [...text];
    const pieces = starts.map((start, i) => characters.slice(start, starts[i + 1]).join(''));
    return { text, starts, pieces };
  }

  it.each([true, false])(
    'leaves out what the tokenizer put around the text (skipping: %s)',
    async (skips) => {
      const { text, pieces } = await answered(tokenizer, 'ab', [...tokens('ab'), eos], tokens('c'), skips);
      expect(text).toBe('abc');
      expect(pieces).toEqual(['a', 'b', '', 'c']);
    },
  );

  it.each([true, false])('counts special tokens that were typed (skipping: %s)', async (skips) => {
    const ids = [...tokens('a'), eos, ...tokens('b'), eos];
    const { text, pieces } = await answered(tokenizer, 'a</s>b', ids, tokens('c'), skips);
    expect(text).toBe('a</s>bc');
    expect(pieces).toEqual(['a', '</s>', 'b', '', 'c']);
    // The user typed `</s>` at the end, and the tokenizer adds none.
    const typed = await answered(tokenizer, 'a</s>', [...tokens('a'), eos], tokens('c'), skips);
    expect(typed.pieces).toEqual(['a', '</s>', 'c']);
  });

  it.each([
    [true, 'ac', ['a', '', 'c', '']],
    [false, 'a</s>c</s>', ['a', '</s>', 'c', '</s>']],
  ])('goes by `skip_special_tokens` (%s) where the prompt is tokens', async (skips, text, pieces) => {
    const ids = [...tokens('a'), eos];
    expect(await answered(tokenizer, ids, ids, [...tokens('c'), eos], skips)).toMatchObject({ text, pieces });
  });

  it('gives a character that is split between prompt and completion to neither', async () => {
    const [a, first, second] = tokens('aé');
    const { text, starts } = await answered(tokenizer, [a!, first!], [a!, first!], [second!, a!]);
    expect(text).toBe('a\ufffd\ufffda');
    expect(starts).toEqual([0, 1, 2, 3]);
  });

  it.each(['austen-gemma3', 'austen-t5-dense'])('points at the tokens of any text (%s)', async (model) => {
    const vocabulary = Tokenizer.load(`models/${model}`);
    const typed = [...Array(20).keys()].filter((id) => vocabulary.isSpecial(id));
    const parts = ['It is', ' a truth', 'é', '𝄞', ' ', '  ', '▁', '\n', '日本', 'e\u0301', '😀', '"'];
    parts.push(...typed.map((id) => Buffer.from(vocabulary.tokenBytes(id)).toString()));
    const random = seededRandom(5);
    let verbatim = 0;
    for (let round = 0; round < 200; round++) {
      const some = () => Array.from({ length: 1 + random.below(8) }, () => parts[random.below(parts.length)]);
      const prompt = some().join('');
      const completion = vocabulary.encode(some().join(''), false);
      const ids = vocabulary.encode(prompt);
      const skips = random.below(2) === 0;
      const { text, starts, pieces } = await answered(vocabulary, prompt, ids, completion, skips);
      expect(pieces.join('')).toBe(text);
      expect(starts).toEqual(starts.toSorted((a, b) => a - b));
      for (const [i, id] of [...ids, ...completion].entries()) {
        const written = Buffer.from(vocabulary.tokenBytes(id)).toString();
        // Whole characters are at their offset, unless they are left out or lose their leading space.
        if (!written.includes('\ufffd') && !vocabulary.isSpecial(id))
          expect(pieces[i]!.trimStart()).toBe(written.trimStart());
      }
      if (text.startsWith(prompt)) verbatim += 1;
    }
    expect(verbatim).toBeGreaterThan(100);
  });
});

describe('probabilities', () => {
  it('are never infinite, and the token’s own is always among the top', async () => {
    const [a, b, c] = tokens('abc');
    const written = await writerOf(tokenizer, options).write({
      tokens: [a!],
      logprobs: [
        {
          logprob: -3,
          top: [
            { token: b!, logprob: -0.1 },
            { token: c!, logprob: Number.NEGATIVE_INFINITY },
          ],
        },
      ],
    });
    expect(written.token_logprobs).toEqual([-3]);
    expect(JSON.parse(String(written.top_logprobs))).toEqual([{ a: -3, b: -0.1, c: -9999 }]);
  });

  it('write bytes that are no character as such', async () => {
    const [first] = tokens('é');
    const written = await writerOf(tokenizer, options).write({
      tokens: [first!],
      logprobs: flat([first!]),
    });
    expect(written.tokens).toEqual(['bytes:\\xc3']);
  });
});
