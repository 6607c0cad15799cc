import { chmod, cp } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { describeDocker } from '../support/containers/describe-docker.ts';
import { docker } from '../support/containers/docker.ts';
import {
  bareImage,
  buildBareImage,
  buildServiceImage,
  buildTimeoutMs,
  serviceImage,
} from '../support/containers/images.ts';
import { ServiceContainer } from '../support/containers/service-container.ts';
import { readStream } from '../support/stream-completion.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const megabyte = 1e6;
const readyWithinMs = 5000;
/** As long as the model can make it. */
const longStream = {
  model: 'austen-t5-altup-k4',
  prompt: Array(16).fill('Elizabeth was not long in the'),
  max_tokens: 480,
  ignore_eos: true,
  stream: true,
};

describeDocker('the image', () => {
  beforeAll(async () => {
    await buildServiceImage();
    await buildBareImage();
  }, buildTimeoutMs);

  it('has at most 350 MB without models', async () => {
    const size = Number(await docker('image', 'inspect', '--format', '{{.Size}}', bareImage));
    console.log(`image without models: ${Math.round(size / megabyte)} MB`);
    expect(size).toBeLessThan(350 * megabyte);
  });

  it('says what it is, runs as another user than root, and has neither npm nor what only tests need', async () => {
    const { Config } = JSON.parse(await docker('image', 'inspect', '--format', '{{json .}}', serviceImage));
    expect(Config.User).toBe('10001:10001');
    expect(Config.Healthcheck.Test).toContain('CMD');
    expect(Config.Labels).toMatchObject({
      'org.opencontainers.image.title': packageJson.name,
      'org.opencontainers.image.licenses': packageJson.license,
      'org.opencontainers.image.version': packageJson.version,
    });
    const list =
      'ls /app/node_modules /app/node_modules/onnxruntime-node/bin/napi-v6/* && command -v npm || true';
    const files = await docker('run', '--rm', '--entrypoint', 'sh', serviceImage, '-c', list);
    expect(files.split('\n')).toContain('onnxruntime-node');
    for (const absent of ['vitest', 'typescript', 'darwin', 'win32', '/usr/local/bin/npm']) {
      expect(files.split('\n')).not.toContain(absent);
    }
  });

  // Again where other programs had the processors.
  it('is ready in 5 s with the shipped models, and answers, with few rights', { retry: 2 }, async () => {
    const service = await ServiceContainer.start();
    const { State, HostConfig } = await service.inspect();
    expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'] });
    const status = await service.run('cat', '/proc/1/status');
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    expect(status).toMatch(/^Uid:\s+10001\s/m);
    await expect(service.run('touch', '/app/anything')).rejects.toThrow('Read-only file system');

    const ready = await service.logged('ready');
    const log = await service.log();
    const readyMs = Date.parse(String(ready.time)) - Date.parse(State.StartedAt);
    console.log(`ready ${readyMs} ms after the start, ${(ready.models as string[]).length} models`);
    expect(ready.models).toContain('austen-t5-altup-k2');
    expect(readyMs).toBeLessThan(readyWithinMs);
    expect(log.find(({ msg }) => msg === 'runtime')).toMatchObject({ backend: 'native' });
    expect(log.filter(({ msg }) => msg === 'exported')).toEqual([]);
    expect(log.filter(({ level }) => Number(level) >= 40)).toEqual([]);

    const body = { model: 'austen-t5-altup-k2', prompt: 'It is a truth', max_tokens: 8, ignore_eos: true };
    const answer = await service.post('/v1/completions', body);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ usage: { completion_tokens: 8 } });
    expect(await service.stop()).toBe(0);
  });

  it('reports its health to Docker', async () => {
    const service = await ServiceContainer.start({ settings: { ALTUP_MODELS: '/models/austen-t5-dense' } });
    while ((await service.inspect()).State.Health?.Status !== 'healthy') await setTimeout(500);
    expect(await service.stop()).toBe(0);
  });

  it('lets a stream finish on SIGTERM', async () => {
    const service = await ServiceContainer.start({ settings: { ALTUP_THREADS: '1' } });
    let stopping: Promise<number> | undefined;
    const streamed = await readStream(await service.post('/v1/completions', longStream), () => {
      stopping ??= service.stop();
    });
    expect(streamed.isDone).toBe(true);
    expect(streamed.error).toBeNull();
    expect(streamed.choices.map(({ finish_reason }) => finish_reason)).toEqual(Array(16).fill('length'));
    expect(await stopping).toBe(0);
    const timeOf = async (message: string) => Date.parse(String((await service.logged(message)).time));
    // Otherwise the stream was over before the signal came, and nothing is shown.
    expect((await timeOf('stopped')) - (await timeOf('draining'))).toBeGreaterThan(100);
  });

  it('exports a mounted checkpoint, and serves it mounted for reading alone', async () => {
    const models = await temporaryFolder();
    const isExport = (path: string) => path.split(sep).includes('onnx');
    await cp('models/austen-t5-dense', join(models, 'novels'), {
      recursive: true,
      filter: (path) => !isExport(path),
    });
    await chmod(models, 0o755);
    const user = `${process.getuid!()}:${process.getgid!()}`;
    const folder = '/models/novels';
    const exported = await docker(
      'run',
      '--rm',
      '--user',
      user,
      '-v',
      `${models}:/models`,
      serviceImage,
      'export',
      folder,
    );
    expect(exported).toBe(`${folder}/onnx/fp32: written`);
    const service = await ServiceContainer.start({ models });
    const listed = (await (await fetch(`${service.url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(listed.data.map(({ id }) => id)).toEqual(['novels']);
    expect((await service.log()).filter(({ level }) => Number(level) >= 40)).toEqual([]);
    expect(await service.stop()).toBe(0);
  });
});
