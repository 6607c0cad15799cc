import { describe, expect, it } from 'vitest';
import { StopStrings } from '../../src/engine/worker/output-text.ts';
import { seededRandom } from '../support/seeded-random.ts';

/** Searches the whole text for the earliest end of a stop string; if several end there, the longest wins. */
function naiveStop(text: string, strings: readonly string[], from: number, includeInOutput: boolean) {
  for (let end = from + 1; end <= text.length; end++) {
    const before = text.slice(0, end);
    const matched = strings
      .filter((string) => before.endsWith(string))
      .sort((a, b) => b.length - a.length)[0];
    if (matched) return { text: includeInOutput ? before : before.slice(0, -matched.length), matched };
  }
  return { text, matched: null };
}

/** All ways to cut `text` into pieces. */
function cuttings(text: string): string[][] {
  return Array.from({ length: 2 ** (text.length - 1) }, (_, cuts) => {
    const pieces: string[] = [];
    let start = 0;
    for (let end = 1; end <= text.length; end++) {
      if (end < text.length && !((cuts >> (end - 1)) & 1)) continue;
      pieces.push(text.slice(start, end));
      start = end;
    }
    return pieces;
  });
}

/** @param suspended stop strings are ignored in this many characters at the start; must be a border of pieces */
function run(pieces: readonly string[], strings: readonly string[], includeInOutput: boolean, suspended = 0) {
  const stops = new StopStrings(strings, includeInOutput);
  let text = '';
  let seen = 0;
  for (const piece of pieces) {
    const result = stops.add(piece, seen < suspended);
    text += result.text;
    seen += piece.length;
    if (result.matched !== null) return { text, matched: result.matched };
    const hidden = pieces.join('').slice(0, seen).slice(text.length);
    const isOpen = hidden === '' || strings.some((stop) => stop !== hidden && stop.startsWith(hidden));
    if (!isOpen) throw new Error(`"${hidden}" is held back without need`);
  }
  return { text: text + stops.flush(), matched: null };
}

describe('StopStrings', () => {
  it.each([true, false])(
    'agrees with a search of the whole text however it is cut, included: %s',
    (included) => {
      const random = seededRandom(21);
      const word = (length: number) => Array.from({ length }, () => 'ab '[random.below(3)]).join('');
      for (let round = 0; round < 60; round++) {
        const strings = Array.from({ length: 1 + random.below(3) }, () => word(1 + random.below(4)));
        const text = word(9);
        const expected = naiveStop(text, strings, 0, included);
        for (const pieces of cuttings(text)) {
          const found = run(pieces, strings, included);
          if (found.text !== expected.text || found.matched !== expected.matched) {
            expect(found, JSON.stringify({ strings, pieces })).toEqual(expected);
          }
        }
      }
    },
  );

  it('looks past matches that end while suspended, but not past the suspension', () => {
    const random = seededRandom(22);
    const word = (length: number) => Array.from({ length }, () => 'ab'[random.below(2)]).join('');
    for (let round = 0; round < 60; round++) {
      const strings = Array.from({ length: 1 + random.below(3) }, () => word(1 + random.below(4)));
      const text = word(8);
      const expected = naiveStop(text, strings, 3, true);
      for (const pieces of cuttings(text.slice(3))) {
        const found = run([text.slice(0, 3), ...pieces], strings, true, 3);
        if (found.text !== expected.text || found.matched !== expected.matched) {
          expect(found, JSON.stringify({ strings, pieces })).toEqual(expected);
        }
      }
    }
  });

  it('holds back what may become a stop string and lets go as soon as it cannot', () => {
    const stops = new StopStrings(['\n\nQ:'], false);
    expect(stops.add('one\n')).toEqual({ text: 'one', matched: null });
    expect(stops.add('\n')).toEqual({ text: '', matched: null });
    expect(stops.add('\n')).toEqual({ text: '\n', matched: null });
    expect(stops.add('Qu')).toEqual({ text: '\n\nQu', matched: null });
    expect(stops.add('\n\nQ: x')).toEqual({ text: '', matched: '\n\nQ:' });
  });

  it('gives the rest back when the text ends within a stop string', () => {
    const stops = new StopStrings(['END'], false);
    expect(stops.add('the EN').text).toBe('the ');
    expect(stops.flush()).toBe('EN');
    expect(stops.flush()).toBe('');
  });

  it('lets everything pass without stop strings', () => {
    expect(new StopStrings([], false).add('text')).toEqual({ text: 'text', matched: null });
  });
});
