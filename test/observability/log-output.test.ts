import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LogOutput } from '../../src/observability/logger.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const lineBytes = 1000;
const line = (index: number) => `${index}${' '.repeat(lineBytes - 1 - String(index).length)}\n`;
/** More lines than fit into a pipe and the queue in front of it. */
const flood = 2000;

function watched(fd: number) {
  const output = new LogOutput(fd);
  const losses = { dropped: 0, recovered: [] as number[] };
  output.watch({
    dropped: () => {
      losses.dropped += 1;
    },
    recovered: (lines) => {
      losses.recovered.push(lines);
      output.write(`lost ${lines}\n`);
    },
  });
  return { output, losses };
}

/** A named pipe, and a function that reads everything available in it. */
async function pipe(): Promise<{ fd: number; readAll: () => string }> {
  const file = join(await temporaryFolder(), 'log');
  execFileSync('mkfifo', [file]);
  const fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => closeSync(fd));
  const buffer = Buffer.alloc(2 ** 20);
  const readAll = () => {
    try {
      return buffer.toString('utf8', 0, readSync(fd, buffer));
    } catch {
      return '';
    }
  };
  return { fd, readAll };
}

describe('a log', () => {
  it('has each line at once', async () => {
    const { fd, readAll } = await pipe();
    const { output } = watched(fd);
    output.write('first\n');
    expect(readAll()).toBe('first\n');
    output.write('second\n');
    expect(readAll()).toBe('second\n');
  });

  it('that nobody reads costs lines, counted, and says so once it is read again', async () => {
    const { fd, readAll } = await pipe();
    const { output, losses } = watched(fd);
    for (let index = 0; index < flood; index++) output.write(line(index));
    expect(losses.dropped).toBeGreaterThan(100);
    expect(losses.recovered).toEqual([]);

    const read: string[] = [];
    await expect
      .poll(() => {
        read.push(readAll());
        return losses.recovered;
      })
      .toEqual([losses.dropped]);
    read.push(readAll());
    output.write('after\n');
    read.push(readAll());
    const kept = flood - losses.dropped;
    expect(read.join('')).toBe(
      `${Array.from({ length: kept }, (_, index) => line(index)).join('')}lost ${losses.dropped}\nafter\n`,
    );
  });

  it.runIf(process.platform === 'linux')('on a full disk costs lines, and no time', async () => {
    const fd = openSync('/dev/full', 'w');
    onTestFinished(() => closeSync(fd));
    const { output, losses } = watched(fd);
    for (let index = 0; index < flood; index++) output.write(line(index));
    expect(losses.dropped).toBe(flood - Math.floor(2 ** 20 / lineBytes));
    const before = performance.now();
    await output.flush(50);
    expect(performance.now() - before).toBeLessThan(1000);
  });

  it('gets its last lines when they can be taken in time', async () => {
    const { fd, readAll } = await pipe();
    const { output, losses } = watched(fd);
    for (let index = 0; index < 500; index++) output.write(line(index));
    const read: string[] = [];
    const reading = setInterval(() => read.push(readAll()), 5);
    await output.flush(10_000);
    clearInterval(reading);
    read.push(readAll());
    expect(losses.dropped).toBe(0);
    expect(read.join('').split('\n')).toHaveLength(501);
  });
});
