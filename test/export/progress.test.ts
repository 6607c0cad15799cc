import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { progressDisplay } from '../../src/export/progress.ts';
import { timeLeft } from '../../src/export/time-left.ts';

class Recorder extends Writable {
  text = '';
  isTTY = false;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

const at = (doneMiB: number) => ({ doneBytes: doneMiB * 2 ** 20, totalBytes: 100 * 2 ** 20 });

it('writes a plain line every few seconds where there is no terminal', () => {
  const stream = new Recorder();
  let nowMs = 0;
  const display = progressDisplay(stream, 'exporting small', () => nowMs);
  display.update(at(1));
  nowMs = 4999;
  display.update(at(10));
  expect(stream.text).toBe('');
  nowMs = 5000;
  display.update(at(20));
  display.update(at(21));
  nowMs = 10_000;
  display.update(at(40));
  display.stop();
  expect(stream.text).toBe(
    'exporting small: 20 of 100 MiB, 20 s left\nexporting small: 40 of 100 MiB, 15 s left\n',
  );
});

it.each([
  [0, 5000, ''],
  [0.5, 900, ''],
  [0.5, 5000, '5 s left'],
  [0.01, 1000, '2 min left'],
  [0.1, 600_000, '90 min left'],
  [1, 5000, ''],
])('%d done after %d ms: "%s"', (done, elapsedMs, expected) => {
  expect(timeLeft(done, elapsedMs)).toBe(expected);
});
