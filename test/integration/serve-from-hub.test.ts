import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { HubServer } from '../support/hub-server.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const shipped = join(import.meta.dirname, '../../models');
const weights = 'model.safetensors';

function filesOf(model: string): Record<string, Buffer> {
  const names = readdirSync(join(shipped, model), { withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(names.map(({ name }) => [name, readFileSync(join(shipped, model, name))]));
}

const statesOf = async (service: ServiceProcess) => {
  const { models } = (await (await fetch(`${service.url}/health/ready`)).json()) as {
    models: { id: string; state: string; message: string | null }[];
  };
  return models.map(({ id, state, message }) => [id, state, message]);
};

it('a name of the hub is downloaded, exported and served, and a start that was killed goes on', async () => {
  const hub = await HubServer.start({ 'someone/austen-small': { files: filesOf('austen-t5-dense') } });
  const { size } = statSync(join(shipped, 'austen-t5-dense', weights));
  const settings = {
    ALTUP_MODELS: 'someone/austen-small@v1',
    HF_ENDPOINT: hub.url,
    HF_HUB_CACHE: join(await temporaryFolder(), 'hub'),
  };
  hub.cutAfterBytes = Math.ceil(size / 8);
  const begunAt: number[] = [];
  for (let start = 0; start < 3; start++) {
    const second = Promise.withResolvers<void>();
    let transfers = 0;
    hub.onFile = (path) => {
      if (path !== weights) return;
      transfers += 1;
      if (transfers === 1) begunAt.push(hub.asked.at(-1)!.from);
      if (transfers === 2) second.resolve();
    };
    const service = ServiceProcess.launch(settings);
    await second.promise;
    service.signal('SIGKILL');
    await service.exited;
  }
  hub.cutAfterBytes = null;
  hub.onFile = () => {};
  const service = await ServiceProcess.start(settings);
  onTestFinished(async () => void (await service.stop()));
  const last = hub.asked.filter(({ path }) => path === weights).at(-1)!.from;
  expect(begunAt[0]).toBe(0);
  // Each start resumes after the bytes of earlier starts.
  for (const [i, from] of [...begunAt.slice(1), last].entries()) expect(from).toBeGreaterThan(begunAt[i]!);
  expect(service.log.find(({ msg }) => msg === 'downloaded')).toMatchObject({ model: 'austen-small' });
  const response = await service.post('/v1/completions', { model: 'austen-small', prompt: 'Emma' });
  expect(response.status).toBe(200);
});

it('models that cannot be found leave the others served, and are tried again by SIGHUP', async () => {
  const hub = await HubServer.start({
    'someone/gated': { files: {}, status: 401 },
    'someone/late': { files: filesOf('austen-t5-dense'), status: 503 },
  });
  const service = await ServiceProcess.start({
    ALTUP_MODELS: `/nowhere/mine,someone/gated,someone/late,${join(shipped, 'austen-t5-dense')}`,
    HF_ENDPOINT: hub.url,
    HF_HUB_CACHE: join(await temporaryFolder(), 'hub'),
  });
  onTestFinished(async () => void (await service.stop()));
  expect(await statesOf(service)).toEqual([
    ['mine', 'failed', expect.stringContaining('/nowhere/mine: cannot be read as a folder')],
    ['gated', 'failed', expect.stringContaining('set HF_TOKEN')],
    ['late', 'failed', expect.stringContaining('the hub answered 503; try again later')],
    ['austen-t5-dense', 'ready', null],
  ]);
  expect((await service.post('/v1/completions', { prompt: 'Emma', model: 'austen-t5-dense' })).status).toBe(
    200,
  );
  expect((await service.post('/v1/completions', { prompt: 'Emma', model: 'mine' })).status).toBe(503);

  hub.repositories['someone/late'] = { files: filesOf('austen-t5-dense') };
  service.signal('SIGHUP');
  await service.logged('downloaded');
  await expect
    .poll(
      () => service.post('/v1/completions', { prompt: 'Emma', model: 'late' }).then(({ status }) => status),
      {
        timeout: 20_000,
      },
    )
    .toBe(200);
});
