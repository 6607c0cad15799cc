import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from './temporary-folder.ts';

const template =
  '{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}' +
  '{% if add_generation_prompt %}assistant: {% endif %}';

/** A copy of a shipped model with a chat template, in a folder of the given name. Call it inside a test. */
export async function chatModel(name: string): Promise<string> {
  const folder = join(await temporaryFolder(), name);
  await cp(join(import.meta.dirname, '../../models/austen-t5-altup-k2'), folder, {
    recursive: true,
    preserveTimestamps: true,
  });
  await writeFile(join(folder, 'chat_template.jinja'), template);
  return folder;
}
