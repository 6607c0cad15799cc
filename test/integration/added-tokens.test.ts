import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { byteLevelTokenizer } from '../support/tiny-tokenizers.ts';

/** A checkpoint whose added tokens have ids past the 96 rows of the table, like Gemma 3's published tokenizer. */
async function checkpoint(): Promise<string> {
  const folder = await copyCheckpoint('gemma3');
  const tokenizer = byteLevelTokenizer() as {
    model: { vocab: Record<string, number>; merges: unknown[] };
    added_tokens: object[];
  };
  const own = Object.entries(tokenizer.model.vocab).filter(([, id]) => id < 96);
  tokenizer.model = { ...tokenizer.model, vocab: Object.fromEntries(own), merges: [] };
  for (const [id, content, special] of [
    [96, '<image_soft_token>', true],
    [98, '<tool>', false],
  ] as const)
    tokenizer.added_tokens.push({ ...tokenizer.added_tokens[0], id, content, special });
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeFile(join(folder, 'tokenizer_config.json'), '{}');
  await writeFile(join(folder, 'chat_template.jinja'), '{{ messages[0].content }}');
  return folder;
}

const refused: [how: string, path: string, body: object, param: string, id: number][] = [
  ['in a text', '/v1/completions', { prompt: 'AB<image_soft_token>' }, 'prompt', 96],
  ['that is not special', '/v1/completions', { prompt: '<tool>' }, 'prompt', 98],
  ['as an id', '/v1/completions', { prompt: [40, 97] }, 'prompt', 97],
  [
    'in a chat',
    '/v1/chat/completions',
    { messages: [{ role: 'user', content: '<image_soft_token>' }] },
    'messages',
    96,
  ],
];

it('a tokenizer with added tokens that the model has no rows for is served but for these', async () => {
  const service = await ServiceProcess.start({ ALTUP_MODELS: await checkpoint() });
  onTestFinished(async () => {
    await service.stop();
  });
  for (const [how, path, body, param, id] of refused) {
    const response = await service.post(path, { max_tokens: 2, ...body });
    expect(response.status, how).toBe(400);
    expect(((await response.json()) as { error: object }).error, how).toMatchObject({
      param,
      message: expect.stringContaining(
        `token id ${id}, which is outside the vocabulary: its ids go from 0 to 95`,
      ),
    });
  }

  const asked = {
    prompt: 'AB',
    bad_words: ['<image_soft_token>', 'C'],
    structured_outputs: { regex: '[A-E]{3}' },
  };
  const response = await service.post('/v1/completions', { ...asked, temperature: 0, max_tokens: 3 });
  expect(response.status).toBe(200);
  const { choices } = (await response.json()) as { choices: { text: string }[] };
  expect(choices[0]!.text).toMatch(/^[ABDE]{3}$/);
  const tokens = await service.post('/tokenize', { prompt: 'A<tool>', add_special_tokens: false });
  expect(await tokens.json()).toMatchObject({ tokens: [expect.any(Number), 98] });
});

it('one with more tokens of its own is refused before anything is exported', async () => {
  const folder = await checkpoint();
  const file = join(folder, 'tokenizer.json');
  const tokenizer = JSON.parse(await readFile(file, 'utf8'));
  tokenizer.model.vocab.extra = 97;
  await writeFile(file, JSON.stringify(tokenizer));
  const { code, output } = await ServiceProcess.refused({ ALTUP_MODELS: folder });
  expect(code).toBe(1);
  expect(output).toMatch(/tokenizer\.json: has token ids up to 97, but the model's vocab_size is 96/);
  await expect(readFile(join(folder, 'onnx/fp32/manifest.json'))).rejects.toThrow('ENOENT');
});
