import { describe, expect, it } from 'vitest';
import { Generation } from '../../src/ui/api/generation.js';
import { linesOf, maxPrompts, promptsIn } from '../../src/ui/compare/prompts.js';
import { summarise } from '../../src/ui/compare/summary.js';

describe('the prompts of a file', () => {
  it.each([
    ['lines', 'One\n\n  \nTwo\r\nThree', ['One', 'Two', 'Three']],
    ['a list', '["One", {"prompt": "Two\\nlines"}]', ['One', 'Two\nlines']],
    ['JSON by lines', '{"prompt": "One"}\n{"prompt": "Two", "n": 1}\n', ['One', 'Two']],
    ['one object', '{"prompt": "One"}', ['One']],
    ['lines in quotation marks', '"One", she said\nTwo', ['"One", she said', 'Two']],
    ['texts by lines', '"One"\n"Two"', ['One', 'Two']],
  ])('%s', (_name, text, prompts) => expect(promptsIn(text)).toEqual(prompts));

  it.each([
    ['nothing', '  \n'],
    ['an object without a prompt', '[{"text": "One"}]'],
    ['an empty prompt', '[""]'],
    ['broken JSON', '[{"prompt": "One"'],
    ['too many', 'x\n'.repeat(maxPrompts + 1)],
  ])('are refused: %s', (_name, text) =>
    expect(() => promptsIn(text)).toThrow(expect.objectContaining({ code: 'bad_file' })),
  );

  it('are the lines that are not empty', () => expect(linesOf('a\n\n b ')).toEqual(['a', ' b ']));
});

describe('a summary', () => {
  const generation = (tokens: number, gapMs: number | null, firstMs: number) => {
    const made = new Generation(() => 0);
    made.figures.counted(tokens, 1);
    made.figures.measured({ time_to_first_token_ms: firstMs, mean_itl_ms: gapMs });
    made.figures.ended(2);
    return made;
  };

  it('has the median of the first tokens, and the tokens per second of the time of all gaps', () => {
    const all = [generation(11, 10, 5), generation(31, 20, 50), generation(1, null, 9)];
    expect(summarise(all)).toEqual({
      firstTokenMs: 9,
      tokensPerSecond: 40 / (10 * 0.01 + 30 * 0.02),
      tokens: 43,
      logprob: null,
    });
  });

  it('has no rate without a gap', () => {
    expect(summarise([generation(1, null, 9)])).toMatchObject({ tokensPerSecond: null, tokens: 1 });
    expect(summarise([])).toEqual({ firstTokenMs: null, tokensPerSecond: null, tokens: 0, logprob: null });
  });
});
