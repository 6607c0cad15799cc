import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { chatModel } from '../support/chat-model.ts';
import { ServiceProcess } from '../support/service-process.ts';

const here = import.meta.dirname;

it('OpenAI’s own client for Python gets what it expects from every call', async () => {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: await chatModel('chat-model'),
    ALTUP_API_KEYS: 'sesame',
  });
  onTestFinished(async () => {
    await service.stop();
  });
  const script = join(here, 'openai_calls.py');
  const { stdout } = await promisify(execFile)(join(here, 'run'), [
    'python',
    script,
    `${service.url}/v1`,
    'sesame',
  ]).catch((error) => error as { stdout: string });
  expect(stdout).not.toMatch(/^failed/m);
  expect(stdout).toMatch(/^(\d+) of \1 calls as expected$/m);
});
