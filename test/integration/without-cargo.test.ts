import { cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { ServiceProcess } from '../support/service-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = join(import.meta.dirname, '../..');
const model = 'austen-t5-altup-k2';

/** A checkout without build results, and a folder with the programs that `npm start` needs. */
async function freshCheckout(): Promise<{ folder: string; programs: string }> {
  const folder = await temporaryFolder();
  for (const part of ['package.json', 'src', 'scripts']) {
    await cp(join(root, part), join(folder, part), { recursive: true });
  }
  for (const part of ['node_modules', 'models']) await symlink(join(root, part), join(folder, part));
  const programs = join(folder, 'programs');
  await mkdir(programs);
  await symlink(process.execPath, join(programs, 'node'));
  return { folder, programs };
}

it('npm start without cargo says in a line what is used instead, and serves', {
  timeout: 90_000,
}, async () => {
  const { folder, programs } = await freshCheckout();
  const service = await ServiceProcess.startBy(packageJson.scripts.start, folder, {
    PATH: programs,
    ALTUP_MODELS: `models/${model}`,
  });
  expect(service.output.split('\n').filter((line) => line !== '' && !line.startsWith('{'))).toEqual([
    'native addon: cargo is not installed, so the portable onnxruntime-node session is used',
  ]);
  expect(service.log.find(({ msg }) => msg === 'model ready')).toMatchObject({
    model,
    backend: 'onnxruntime-node',
  });
  expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
  const response = await service.post('/v1/completions', { model, prompt: 'Emma', max_tokens: 5 });
  expect(await response.json()).toMatchObject({ choices: [{ text: expect.stringMatching(/\w/) }] });
  expect(await service.stop()).toBe(0);
});
