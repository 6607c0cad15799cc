import { describe, expect, it } from 'vitest';
import {
  meanLogprob,
  parting,
  shade,
  tokenAt,
  tokensOf,
  wholeCharacters,
} from '../../src/ui/tokens/tokens.js';

const token = (text: string, logprob: number | null = -1) => ({ text, bytes: null, logprob, top: [] });

describe('tokens', () => {
  it('are read from completions, the most likely alternative first', () => {
    const logprobs = {
      tokens: ['It', ' is'],
      token_logprobs: [null, -2],
      top_logprobs: [null, { ' is': -2, ' was': -0.5 }],
    };
    expect(tokensOf(logprobs)).toEqual([
      { text: 'It', bytes: null, logprob: null, top: [] },
      {
        text: ' is',
        bytes: null,
        logprob: -2,
        top: [
          { text: ' was', logprob: -0.5 },
          { text: ' is', logprob: -2 },
        ],
      },
    ]);
  });

  it('are read from chats, and are none without probabilities', () => {
    const content = [{ token: 'Oh', logprob: -1, top_logprobs: [{ token: 'Ah', logprob: -0.1 }] }];
    expect(tokensOf({ content })).toEqual([
      { text: 'Oh', bytes: null, logprob: -1, top: [{ text: 'Ah', logprob: -0.1 }] },
    ]);
    expect([tokensOf(null), tokensOf(undefined), tokensOf({ content: null })]).toEqual([[], [], []]);
  });

  it('that form a character together are shown as one, with their joint probability', () => {
    const logprobs = { tokens: ['a', 'bytes:\\xc3', 'bytes:\\xa9', 'b'], token_logprobs: [-1, -2, -3, -4] };
    expect(wholeCharacters(tokensOf(logprobs)).map(({ text, logprob }) => [text, logprob])).toEqual([
      ['a', -1],
      ['é', -5],
      ['b', -4],
    ]);
  });

  it.each([
    [0.9, 0],
    [0.3, 1],
    [0.06, 2],
    [0.02, 3],
    [0.001, 4],
  ])('of the probability %s have the shade %i', (probability, expected) =>
    expect(shade(Math.log(probability))).toBe(expected),
  );

  it('have a mean without those that were not measured', () => {
    expect(meanLogprob([token('a', null), token('b', -1), token('c', -3)])).toBe(-2);
    expect(meanLogprob([token('a', null)])).toBeNull();
  });
});

describe('the place where texts part', () => {
  it.each([
    [['It is so', 'It is so'], null],
    [['It is so', 'It was so'], 3],
    [['It is', 'It is so'], 5],
    [['It is so', 'It is not', 'I see'], 1],
    [['', 'It'], 0],
  ])('%j: %s', (texts, at) => expect(parting(texts)).toBe(at));

  it('is in a token, or behind the last', () => {
    const tokens = [token('It'), token(' is'), token(' so')];
    expect([0, 1, 2, 4, 5, 8].map((at) => tokenAt(tokens, at))).toEqual([0, 0, 1, 1, 2, -1]);
  });
});
