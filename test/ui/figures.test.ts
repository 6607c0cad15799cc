import { describe, expect, it } from 'vitest';
import { duration, figuresLine, rate } from '../../src/ui/figures/figure-text.js';
import { Figures } from '../../src/ui/figures/figures.js';

function timed(sentAt: number, counts: [count: number, at: number][], endedAt: number): Figures {
  const figures = new Figures(sentAt);
  for (const [count, at] of counts) figures.counted(count, at);
  figures.ended(endedAt);
  return figures;
}

describe('figures of a stream', () => {
  it('count from the request to the first token, and from the first to the last', () => {
    const figures = timed(
      1000,
      [
        [1, 1020],
        [2, 1120],
        [41, 1420],
      ],
      1435,
    );
    expect(figures.firstTokenMs).toBe(20);
    expect(figures.tokensPerSecond).toBe(100);
    expect(figures.tokens).toBe(41);
    expect(figures.totalMs(9999)).toBe(435);
  });

  it('leave out of the rate the tokens that came together with the first', () => {
    const figures = timed(
      0,
      [
        [3, 10],
        [33, 310],
      ],
      310,
    );
    expect(figures.tokensPerSecond).toBe(100);
  });

  it('take the times of the text if its tokens are only counted at the end', () => {
    const figures = timed(
      0,
      [
        [0, 10],
        [0, 200],
        [0, 510],
      ],
      600,
    );
    figures.counted(51, 590, false);
    expect(figures.firstTokenMs).toBe(10);
    expect(figures.tokensPerSecond).toBe(100);
  });

  it('have no rate before tokens have come for a while', () => {
    const figures = new Figures(0);
    expect([figures.firstTokenMs, figures.tokensPerSecond, figures.totalMs(7)]).toEqual([null, null, 7]);
    figures.counted(1, 10);
    figures.counted(1, 20);
    expect([figures.firstTokenMs, figures.tokensPerSecond]).toEqual([10, null]);
    // Delayed tokens arrive almost at once: 120 tokens in half a millisecond.
    figures.counted(121, 10.5);
    expect(figures.tokensPerSecond).toBeNull();
  });

  it('are the service’s own at the end, however the tokens arrived', () => {
    const figures = timed(
      0,
      [
        [1, 900],
        [120, 900.5],
      ],
      901,
    );
    figures.measured({ time_to_first_token_ms: 30, mean_itl_ms: 7.25 });
    expect(figures.tokensPerSecond).toBeCloseTo(137.93);
    expect(figures.firstTokenMs).toBe(30);
    expect(figures.totalMs(9999)).toBe(901);
  });

  it.each([null, 0])('have no rate where the service has none (%s)', (gap) => {
    const figures = timed(
      0,
      [
        [1, 10],
        [50, 900],
      ],
      900,
    );
    figures.measured({ time_to_first_token_ms: null, mean_itl_ms: gap });
    expect([figures.firstTokenMs, figures.tokensPerSecond]).toEqual([10, null]);
  });
});

describe('figures as text', () => {
  it.each([
    [null, '–'],
    [3.09, '3.1 ms'],
    [9.96, '10 ms'],
    [41.5, '42 ms'],
    [1234, '1.23 s'],
  ])('a duration of %s', (milliseconds, text) => expect(duration(milliseconds)).toBe(text));

  it.each([
    [null, '–'],
    [0, '0'],
    [3.09, '3.1'],
    [41.5, '42'],
    [1234.5, '1,235'],
  ])('a rate of %s', (perSecond, text) => expect(rate(perSecond)).toBe(text));

  it('are a line, with a rate only where there is one', () => {
    const quick = timed(
      0,
      [
        [1, 10],
        [41, 410],
      ],
      410,
    );
    expect(figuresLine(quick)).toBe('41 tokens · first after 10 ms · 100 tokens/s');
    quick.guessed = 30;
    expect(figuresLine(quick)).toBe('41 tokens, 30 guessed · first after 10 ms · 100 tokens/s');
    expect(figuresLine(timed(0, [[1, 10]], 10))).toBe('1 token · first after 10 ms');
    expect(figuresLine(new Figures(0))).toBe('');
  });
});
