import { describe, expect, it } from 'vitest';
import { comparison, duration, rate } from '../../src/ui/figure-text.js';
import { Figures } from '../../src/ui/figures.js';

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
        [2, 1030],
        [5, 1060],
      ],
      1075,
    );
    expect(figures.firstTokenMs).toBe(20);
    expect(figures.tokensPerSecond).toBe(100);
    expect(figures.tokens).toBe(5);
    expect(figures.totalMs(9999)).toBe(75);
  });

  it('leave out of the rate the tokens that came together with the first', () => {
    const figures = timed(
      0,
      [
        [3, 10],
        [4, 20],
      ],
      20,
    );
    expect(figures.tokensPerSecond).toBe(100);
  });

  it('have no rate before tokens came at two moments', () => {
    const figures = new Figures(0);
    expect([figures.firstTokenMs, figures.tokensPerSecond, figures.totalMs(7)]).toEqual([null, null, 7]);
    figures.counted(1, 10);
    figures.counted(1, 20);
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
    [3.09, '3.1'],
    [41.5, '42'],
    [1234.5, '1,235'],
  ])('a rate of %s', (perSecond, text) => expect(rate(perSecond)).toBe(text));

  it('compare two streams', () => {
    const quick = timed(
      0,
      [
        [1, 10],
        [11, 110],
      ],
      110,
    );
    const slow = timed(
      0,
      [
        [1, 34],
        [11, 234],
      ],
      234,
    );
    expect(comparison(quick, slow)).toBe(
      'A wrote 2.00× as many tokens per second as B; its first token came 24 ms sooner.',
    );
    expect(comparison(slow, quick)).toBe(
      'A wrote 0.50× as many tokens per second as B; its first token came 24 ms later.',
    );
    expect(comparison(quick, quick)).toMatch(/1\.00×.*their first tokens came together/);
    expect(comparison(quick, new Figures(0))).toBeNull();
  });
});
