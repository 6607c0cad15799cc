import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

const settings = { ALTUP_MODELS: 'models/austen-t5-dense', ALTUP_SLOTS: '2' };
const preload = `--import=${join(import.meta.dirname, '../support/mortal-engine.ts')}`;
const long = {
  prompt: Array(20).fill('Emma'),
  max_tokens: 300,
  ignore_eos: true,
  temperature: 0,
  stream: true,
};

/** Milliseconds from `act` to the end of the process. */
async function timeToEnd(service: ServiceProcess, act: () => void): Promise<number> {
  const before = performance.now();
  act();
  await service.exited;
  return performance.now() - before;
}

it('a fault of native code on the engine’s thread ends the process at once, with the signal’s status', async () => {
  const service = await ServiceProcess.start(settings, [], ['--expose-internals', preload]);
  const { body } = await service.post('/v1/completions', long);
  const reader = body!.getReader();
  await reader.read();
  const broken = expect(
    (async () => {
      while (!(await reader.read()).done);
    })(),
  ).rejects.toThrow();
  expect(await timeToEnd(service, () => service.signal('SIGURG'))).toBeLessThan(1000);
  expect(service.endSignal).toBe('SIGSEGV');
  await broken;
  expect(service.log.map(({ msg }) => msg)).not.toContain('draining');
});

// A test cannot cause these faults at will, so it sends the signals.
it.each(['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGABRT'] as const)(
  '%s ends the process at once',
  async (signal) => {
    const service = ServiceProcess.launch(settings);
    await service.logged('listening');
    expect(await timeToEnd(service, () => service.signal(signal))).toBeLessThan(1000);
    expect(service.endSignal).toBe(signal);
  },
);
