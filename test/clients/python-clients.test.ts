import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { chatModel } from '../support/chat-model.ts';
import { ServiceProcess } from '../support/service-process.ts';

const here = import.meta.dirname;

/** The scripts of each environment, by its file of requirements. */
const scripts = {
  'requirements.txt': [
    'openai_calls.py',
    'openai_round_trip.py',
    'openai_tools.py',
    'openai_embeddings.py',
    'openai_responses.py',
    'with_langchain.py',
    'with_pydantic_ai.py',
  ],
  'openai-2.txt': ['with_instructor.py', 'with_llama_index.py', 'with_litellm.py'],
};

it('OpenAI’s client for Python, and the frameworks on top of it, get what they expect', async () => {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: await chatModel('chat-model'),
    ALTUP_API_KEYS: 'sesame',
    ALTUP_RESPONSES_STORE: '8MiB',
  });
  onTestFinished(async () => {
    await service.stop();
  });
  for (const [environment, names] of Object.entries(scripts)) {
    for (const name of names) {
      const command = [environment, 'python', join(here, name), `${service.url}/v1`, 'sesame'];
      const { stdout, stderr } = await promisify(execFile)(join(here, 'run'), command).catch(
        (error) => error as { stdout: string; stderr: string },
      );
      expect.soft(stdout, `${name}: ${stderr}`).not.toMatch(/^failed/m);
      expect.soft(stdout, `${name}: ${stderr}`).toMatch(/^([1-9]\d*) of \1 checks passed$/m);
    }
  }
});
