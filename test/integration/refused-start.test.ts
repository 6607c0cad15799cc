import { execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readCheckpoint } from '../support/read-checkpoint.ts';
import { float32, writeSafetensors } from '../support/safetensors-writer.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const shipped = join(import.meta.dirname, '../../models/austen-t5-dense');
const checkpointFiles = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];

/** A folder with a good model and a bad one, which `damage` has changed. */
async function goodAndBad(damage: (folder: string) => Promise<void>): Promise<string> {
  const models = await temporaryFolder();
  for (const id of ['good', 'bad']) {
    await mkdir(join(models, id));
    for (const file of checkpointFiles) await cp(join(shipped, file), join(models, id, file));
  }
  await damage(join(models, 'bad'));
  return models;
}

async function putPipe(file: string): Promise<void> {
  await rm(file);
  execFileSync('mkfifo', [file]);
}

async function changeJson(file: string, change: object): Promise<void> {
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...change }));
}

const damages: [what: string, damage: (folder: string) => Promise<void>, named: RegExp][] = [
  ['weights that are missing', (folder) => rm(join(folder, 'model.safetensors')), /bad.*model\.safetensors/],
  [
    'weights cut short',
    async (folder) => {
      const file = join(folder, 'model.safetensors');
      await writeFile(file, (await readFile(file)).subarray(0, 1_000_000));
    },
    /bad\/model\.safetensors/,
  ],
  [
    'an unknown architecture',
    (folder) => changeJson(join(folder, 'config.json'), { model_type: 'mamba' }),
    /bad\/config\.json.*mamba/,
  ],
  [
    'a field that changes the maths',
    (folder) => changeJson(join(folder, 'config.json'), { feed_forward_proj: 'gated-tanh' }),
    /feed_forward_proj.*gated-tanh/,
  ],
  [
    'a shape that does not fit',
    (folder) => changeJson(join(folder, 'config.json'), { d_ff: 512 }),
    /bad\/model\.safetensors.*DenseReluDense/,
  ],
  [
    'a pipe in place of the weights',
    (folder) => putPipe(join(folder, 'model.safetensors')),
    /bad\/model\.safetensors: is a pipe or a device; expected a file/,
  ],
  [
    'a pipe in place of the tokenizer',
    (folder) => putPipe(join(folder, 'tokenizer.json')),
    /bad\/tokenizer\.json: is a pipe or a device; expected a file/,
  ],
  [
    'a Git LFS pointer',
    (folder) =>
      writeFile(
        join(folder, 'model.safetensors'),
        'version https://git-lfs.github.com/spec/v1\noid sha256:00\n',
      ),
    /bad\/model\.safetensors: is a Git LFS pointer.*git lfs pull/,
  ],
  [
    'weights whose products are beyond float32',
    async (folder) => {
      const tensors = await readCheckpoint(folder);
      for (const [name, { shape }] of Object.entries(tensors))
        if (name.endsWith('SelfAttention.q.weight'))
          tensors[name] = float32(shape, Array(shape[0]! * shape[1]!).fill(3e38));
      await writeSafetensors(join(folder, 'model.safetensors'), tensors);
    },
    /cannot compute an answer in fp32: The model computed a logit of/,
  ],
  [
    'a tokenizer of another vocabulary',
    async (folder) => {
      const file = join(folder, 'tokenizer.json');
      const { model } = JSON.parse(await readFile(file, 'utf8'));
      await changeJson(file, { model: { ...model, vocab: { ...model.vocab, extra: 3000 } } });
    },
    /bad\/tokenizer\.json.*3000.*2048/,
  ],
];

describe('a model that cannot be served', () => {
  it.each(damages)(
    '%s: the other one is served, and health tells which failed and why',
    async (_, damage, named) => {
      const service = await ServiceProcess.start({ ALTUP_MODELS: await goodAndBad(damage) });
      const health = (await (await fetch(`${service.url}/health/ready`)).json()) as { models: object[] };
      expect(health.models).toEqual([
        { id: 'bad', state: 'failed', message: expect.stringMatching(named) },
        { id: 'good', state: 'ready', message: null },
      ]);
      expect((await service.post('/v1/completions', { model: 'bad', prompt: 'x' })).status).toBe(503);
      expect(
        (await service.post('/v1/completions', { model: 'good', prompt: 'x', max_tokens: 1 })).status,
      ).toBe(200);
      expect(await service.stop()).toBe(0);
    },
  );

  it('stops the start where the list is strict', async () => {
    const models = await goodAndBad((folder) => rm(join(folder, 'model.safetensors')));
    const { code, output } = await ServiceProcess.refused({ ALTUP_MODELS: models }, ['--strict']);
    expect(code).toBe(1);
    expect(output).toMatch(/bad: .*model\.safetensors/);
  });
});

describe('a start that is refused', () => {
  it.each([
    ['a folder that is not there', { ALTUP_MODELS: '/nowhere' }, /\/nowhere/, 1],
    ['a malformed number', { ALTUP_SLOTS: 'many' }, /ALTUP_SLOTS.*many/, 2],
    ['an unknown variable', { ALTUP_SLOT: '4' }, /ALTUP_SLOT\b.*ALTUP_SLOTS/, 2],
  ])('%s', async (_, settings: Record<string, string>, named, status) => {
    const { code, output } = await ServiceProcess.refused(settings);
    expect(code).toBe(status);
    expect(output).toMatch(named);
  });

  it('a port in use', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address() as { port: number };
    const { code, output } = await ServiceProcess.refused({ ALTUP_PORT: String(port) });
    holder.close();
    expect(code).toBe(1);
    expect(output).toContain(`ALTUP_PORT: port ${port}`);
  });
});
