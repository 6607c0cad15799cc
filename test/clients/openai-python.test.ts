import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { chatModel } from '../support/chat-model.ts';
import { ServiceProcess } from '../support/service-process.ts';

const here = import.meta.dirname;

/** The output of a script that calls a service with OpenAI's client, or a framework on top of it. */
async function run(script: string, settings: Record<string, string> = {}): Promise<string> {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: await chatModel('chat-model'),
    ALTUP_API_KEYS: 'sesame',
    ...settings,
  });
  onTestFinished(async () => {
    await service.stop();
  });
  const { stdout } = await promisify(execFile)(join(here, 'run'), [
    'python',
    join(here, script),
    `${service.url}/v1`,
    'sesame',
  ]).catch((error) => error as { stdout: string });
  return stdout;
}

it('OpenAI’s own client for Python gets what it expects from every call', async () => {
  const said = await run('openai_calls.py');
  expect(said).not.toMatch(/^failed/m);
  expect(said).toMatch(/^(\d+) of \1 calls as expected$/m);
});

it('takes back what that client makes of its answers, and every field that it can send', async () => {
  const said = await run('openai_round_trip.py');
  expect(said).not.toMatch(/^failed/m);
  expect(said).toMatch(/^4 of 4 checks passed$/m);
});

it('calls tools with that client as its documentation shows', async () => {
  const said = await run('openai_tools.py');
  expect(said).not.toMatch(/^failed/m);
  expect(said).toMatch(/^5 of 5 checks passed$/m);
});

it('embeds texts with that client as its documentation shows', async () => {
  const said = await run('openai_embeddings.py');
  expect(said).not.toMatch(/^failed/m);
  expect(said).toMatch(/^5 of 5 checks passed$/m);
});

it('gets responses with that client as its documentation shows', async () => {
  const said = await run('openai_responses.py', { ALTUP_RESPONSES_STORE: '8MiB' });
  expect(said).not.toMatch(/^failed/m);
  expect(said).toMatch(/^10 of 10 checks passed$/m);
});

it('calls tools and gets structured output through LangChain and Pydantic AI', async () => {
  const said = await run('frameworks.py');
  expect(said).not.toMatch(/^failed/m);
  expect(said).toMatch(/^4 of 4 checks passed$/m);
});
