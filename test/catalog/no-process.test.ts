import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TextLane } from '../../src/catalog/texts/text-lane.ts';
import { Trials } from '../../src/runtime/grammars/trials.ts';

const child = vi.hoisted(() => ({ start: (): unknown => null }));
vi.mock('node:child_process', () => ({ fork: () => child.start() }));

/** What Node returns when it has no file descriptor for the child's channel; it reports the error later. */
class ChildWithoutChannel extends EventEmitter {
  readonly connected = false;
  constructor() {
    super();
    setImmediate(() => this.emit('error', new Error('spawn EMFILE')));
  }
  unref() {}
  kill() {}
}

const starts: [string, () => unknown][] = [
  ['no file descriptor', () => new ChildWithoutChannel()],
  [
    'no memory',
    () => {
      throw new Error('spawn ENOMEM');
    },
  ],
];

afterEach(() => {
  child.start = () => null;
});

describe.each(starts)('a process that cannot be started: %s', (_, start) => {
  it('fails the text that needs it, and each after it', async () => {
    child.start = start;
    const lane = new TextLane({ idleMs: Number.POSITIVE_INFINITY, maxAside: 0 });
    const source = { checkpoint: 'x', reading: 1 };
    const job = { texts: ['x'], addSpecialTokens: false, last: 1 };
    const sent = { type: 'encode' as const, source, job, loadMs: 100, jobMs: 100 };
    const run = () => lane.run(sent, { client: 'a', characters: 1, signal: null, onStart() {} });
    for (let i = 0; i < 2; i++) expect(await run()).toMatchObject({ failure: { reason: 'other' } });
    lane.forget(source);
    lane.close();
  });

  it('fails the grammar that needs it, and each after it', async () => {
    child.start = start;
    const trials = new Trials();
    for (let i = 0; i < 2; i++) {
      const { verdict, end } = trials.try('m', { regex: 'a' });
      end();
      await expect(verdict).rejects.toThrow('the process that tries grammars could not be started');
    }
  });
});
