import { describe, expect, it, vi } from 'vitest';
import { GrammarCompiler, type GrammarOutcome } from '../../../src/runtime/grammars/grammar-compiler.ts';
import type { NativeGrammar, NativeVerdict } from '../../../src/runtime/native/native-addon.ts';
import { GrammarError, type GrammarSource } from '../../../src/sampling/grammar.ts';

interface Tried {
  name: string;
  /** Ends the trial with this verdict, which contains its duration, or with an error. */
  come(verdict: Partial<NativeVerdict> | Error): Promise<void>;
}

/** A compiler whose trials a test ends by hand. A source's name is its regex. */
function compilerUnderTest({ bytes = 1 }: { bytes?: number } = {}) {
  let now = 0;
  const tried: Tried[] = [];
  const ended: string[] = [];
  const compiled: string[] = [];
  const outcomes: GrammarOutcome[] = [];
  const waiting: number[] = [];
  const faults: string[] = [];
  const nameOf = (source: GrammarSource) => ('regex' in source ? source.regex : '?');
  let count = 0;
  const compiler = new GrammarCompiler(
    { grammarEnded: (_, outcome) => outcomes.push(outcome), grammarsWaiting: (n) => waiting.push(n) },
    () => now,
    (reason) => faults.push(reason),
    {
      vocabularyNumber: () => 1,
      try: (_, source) => {
        const { promise, resolve, reject } = Promise.withResolvers<NativeVerdict>();
        const name = nameOf(source);
        tried.push({
          name,
          come: async (verdict) => {
            if (verdict instanceof Error) reject(verdict);
            else resolve({ outcome: 'fit', reason: '', ms: 0, ...verdict });
            await settled();
          },
        });
        const end = () => {
          ended.push(name);
          resolve({ outcome: 'ended', reason: '', ms: 0 });
        };
        return { verdict: promise, end };
      },
      compile: async (_, source) => {
        compiled.push(nameOf(source));
        count += 1;
        return { id: count, bytes } satisfies NativeGrammar;
      },
      close: () => {},
    },
  );
  const ask = (client: string, name: string, signal = new AbortController().signal) => {
    const asked = compiler.compile('m', { regex: name }, { client, signal });
    asked.catch(() => {});
    return asked;
  };
  const sleep = (ms: number) => {
    now += ms;
  };
  return { compiler, ask, sleep, tried, ended, compiled, outcomes, waiting, faults };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('the compiler of grammars', () => {
  it('compiles what has passed its trial, and keeps it', async () => {
    const { ask, tried, compiled, outcomes } = compilerUnderTest();
    const asked = ask('a', 'x');
    expect(compiled).toEqual([]);
    await tried[0]!.come({});
    expect(await asked).toMatchObject({ id: 1 });
    expect(await ask('b', 'x')).toMatchObject({ id: 1 });
    expect(compiled).toEqual(['x']);
    expect(outcomes).toEqual(['compiled', 'kept']);
  });

  it('forgets what it keeps for a model that is unloaded', async () => {
    const { compiler, ask, tried, compiled } = compilerUnderTest();
    ask('a', 'x');
    await tried[0]!.come({});
    compiler.forget('another');
    await ask('a', 'x');
    compiler.forget('m');
    ask('a', 'x');
    await tried[1]!.come({});
    expect(compiled).toEqual(['x', 'x']);
  });

  it('tells what a trial was refused for, and compiles nothing', async () => {
    const { ask, tried, compiled, outcomes } = compilerUnderTest();
    const asked = ask('a', 'x');
    await tried[0]!.come({ outcome: 'refused', reason: 'too deep' });
    await expect(asked).rejects.toEqual(new GrammarError('too deep'));
    expect(compiled).toEqual([]);
    expect(outcomes).toEqual(['refused']);
    // Refusals are not kept: the compiler tries the source again.
    ask('a', 'x');
    expect(tried).toHaveLength(2);
  });

  it('compiles one source for all who ask, and goes on until the last has left', async () => {
    const { ask, tried, ended, outcomes } = compilerUnderTest();
    const [one, other] = [new AbortController(), new AbortController()];
    const asked = [ask('a', 'x', one.signal), ask('b', 'x', other.signal)];
    expect(tried).toHaveLength(1);
    one.abort(new Error('gone'));
    await expect(asked[0]).rejects.toThrow('gone');
    expect(ended).toEqual([]);
    other.abort(new Error('gone too'));
    await expect(asked[1]).rejects.toThrow('gone too');
    expect(ended).toEqual(['x']);
    expect(outcomes).toEqual(['left', 'left']);
  });

  it('takes who has used the least first, and keeps a place for those who have used little', async () => {
    const { ask, tried } = compilerUnderTest();
    ask('greedy', '1');
    ask('greedy', '2');
    ask('greedy', '3');
    ask('greedy', '4');
    await tried[0]!.come({ outcome: 'refused', ms: 500 });
    await tried[1]!.come({ outcome: 'refused', ms: 500 });
    // From now on the greedy client may use only one of the two places.
    expect(tried.map(({ name }) => name)).toEqual(['1', '2', '3']);
    ask('modest', 'm');
    expect(tried.map(({ name }) => name)).toEqual(['1', '2', '3', 'm']);
    ask('modest', 'n');
    await tried[2]!.come({});
    // The modest client's request runs before the greedy client's older one.
    expect(tried.map(({ name }) => name)).toEqual(['1', '2', '3', 'm', 'n']);
    await tried[3]!.come({});
    expect(tried.at(-1)!.name).toBe('4');
  });

  it('forgets what was used with time', async () => {
    const { ask, tried, sleep } = compilerUnderTest();
    ask('a', '1');
    await tried[0]!.come({ outcome: 'refused', ms: 500 });
    sleep(20 * 60_000);
    ask('a', '2');
    ask('a', '3');
    expect(tried).toHaveLength(3);
  });

  it('refuses for now who waits too long, has too much waiting, or finds the trials dead', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { ask, tried, faults, outcomes } = compilerUnderTest();
      const asked = Array.from({ length: 32 }, (_, i) => ask('a', String(i)));
      await expect(ask('a', 'one more')).rejects.toMatchObject({ code: 'compiler_busy', status: 503 });
      ask('b', 'another client’s');
      vi.advanceTimersByTime(10_000);
      await expect(asked[31]).rejects.toMatchObject({ code: 'compiler_busy', retryAfterSeconds: 5 });
      // A running trial does not time out; it ends by itself.
      await tried[0]!.come({});
      expect(await asked[0]).toMatchObject({ id: 1 });
      await tried[1]!.come(new Error('the process died'));
      await expect(asked[1]).rejects.toMatchObject({ code: 'compiler_busy' });
      expect(faults).toEqual(['the process died']);
      expect(new Set(outcomes)).toEqual(new Set(['busy', 'compiled']));
    } finally {
      vi.useRealTimers();
    }
  });

  it('keeps no more than so many bytes', async () => {
    const { ask, tried } = compilerUnderTest({ bytes: 20 * 2 ** 20 });
    for (const name of ['1', '2', '1']) {
      ask('a', name);
      await settled();
      await tried.at(-1)!.come({});
    }
    expect(tried.map(({ name }) => name)).toEqual(['1', '2', '1']);
  });

  it('refuses all once it is closed', async () => {
    const { compiler, ask } = compilerUnderTest();
    const asked = ask('a', '1');
    compiler.close();
    await expect(asked).rejects.toMatchObject({ code: 'shutting_down' });
    await expect(ask('a', '2')).rejects.toMatchObject({ code: 'shutting_down' });
  });
});
