import { expect, it } from 'vitest';
import { describeNative } from '../native/native-addon.ts';
import { ServiceProcess } from '../support/service-process.ts';

const model = 'austen-t5-altup-k2';
const prompts = [
  'Emma',
  'It was a truth that she had never',
  'Mr. Darcy had been looking for his letter since',
];

/** The greedy texts of a service with these settings, and the backend that its log names. */
async function served(settings: Record<string, string>): Promise<{ texts: string[]; log: object[] }> {
  const service = await ServiceProcess.start({ ALTUP_MODELS: `models/${model}`, ...settings });
  const response = await service.post('/v1/completions', { prompt: prompts, max_tokens: 60, temperature: 0 });
  const { choices } = (await response.json()) as { choices: { text: string }[] };
  expect(await service.metric('altup_model_info{', `backend="${settings.ALTUP_BACKEND}"`)).toBe(1);
  expect(await service.stop()).toBe(0);
  return { texts: choices.map(({ text }) => text), log: service.log };
}

describeNative('a service', () => {
  it('gives the same texts with either backend, and says which it uses', { timeout: 90_000 }, async () => {
    const native = await served({ ALTUP_BACKEND: 'native' });
    const portable = await served({ ALTUP_BACKEND: 'onnxruntime-node' });
    expect(native.texts).toHaveLength(prompts.length);
    expect(native.texts).toEqual(portable.texts);
    const runtime = { backend: 'native', executionProvider: 'cpu' };
    expect(native.log).toContainEqual(expect.objectContaining({ level: 'info', msg: 'runtime', ...runtime }));
    expect(native.log).toContainEqual(expect.objectContaining({ msg: 'model ready', model, ...runtime }));
    expect(portable.log).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        msg: expect.stringMatching(/slower/),
        ...runtime,
        backend: 'onnxruntime-node',
      }),
    );
  });
});
