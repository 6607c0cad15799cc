import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { progressDisplay } from '../../src/export/progress.ts';

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
  const display = progressDisplay(stream, '/models/small', () => nowMs);
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
  expect(stream.text).toBe('exporting small: 20 of 100 MiB\nexporting small: 40 of 100 MiB\n');
});
