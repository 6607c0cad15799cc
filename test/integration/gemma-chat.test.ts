import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { smallGemma3n } from '../support/small-gemma3n.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Gemma's own template, reduced to texts. */
const template = `{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}`;

it('a Gemma 3n folder is exported as int4 and chats, as docs/families.md says', async () => {
  const folder = join(await temporaryFolder(), 'gemma-3n-E2B-it');
  await writeRandomGemma3n(folder, smallGemma3n);
  await writeFile(join(folder, 'chat_template.jinja'), template);
  const service = await ServiceProcess.start({}, ['--models', folder, '--precision', 'int4']);
  onTestFinished(async () => void (await service.stop()));

  const models = await (await fetch(`${service.url}/v1/models`)).json();
  expect(models).toMatchObject({
    data: [{ id: 'gemma-3n-E2B-it', precision: 'int4', variant: 'altup-k4', has_chat_template: true }],
  });
  const answer = await service.post('/v1/chat/completions', {
    messages: [{ role: 'user', content: 'Who is Mr. Darcy?' }],
    max_completion_tokens: 8,
    ignore_eos: true,
  });
  expect(await answer.json()).toMatchObject({
    object: 'chat.completion',
    choices: [{ message: { role: 'assistant' }, finish_reason: 'length' }],
    usage: { completion_tokens: 8 },
  });
});
