import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { downloadModel } from '../../src/hub/download-model.ts';
import { nameOfFolder, readHubName } from '../../src/hub/hub-name.ts';
import { freePort } from '../support/free-port.ts';
import { goldenFolder } from '../support/golden.ts';
import { HubServer } from '../support/hub-server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const golden = goldenFolder('dense');
const checkpoint = Object.fromEntries(
  ['config.json', 'model.safetensors'].map((file) => [file, readFileSync(join(golden, file))]),
);
const files = {
  ...checkpoint,
  'tokenizer.json': Buffer.from('{}'),
  'tokenizer_config.json': Buffer.from('{}'),
  'README.md': Buffer.from('# not needed'),
  'pytorch_model.bin': Buffer.from('not needed either'),
};
const name = { repo: 'someone/tiny', revision: 'main' };

let cache: string;
beforeEach(async () => {
  cache = join(await temporaryFolder(), 'hub');
  vi.stubEnv('HF_HUB_CACHE', cache);
  vi.stubEnv('HF_TOKEN', 'hf_test');
  return () => vi.unstubAllEnvs();
});

async function hubOf(repositories: HubServer['repositories']): Promise<HubServer> {
  const hub = await HubServer.start(repositories);
  vi.stubEnv('HF_ENDPOINT', hub.url);
  return hub;
}

describe('downloadModel', () => {
  it("writes the cache's own layout, with the files needed and no others", async () => {
    await hubOf({ 'someone/tiny': { files } });
    const folder = await downloadModel(name);
    expect(folder).toBe(join(cache, 'models--someone--tiny/snapshots', HubServer.commit));
    expect((await readdir(folder)).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(checkpoint['model.safetensors']);
    expect(await readlink(join(folder, 'config.json'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
    expect(await readlink(join(folder, 'model.safetensors'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(await readFile(join(cache, 'models--someone--tiny/refs/main'), 'utf8')).toBe(HubServer.commit);
    expect(nameOfFolder(folder)).toBe('tiny');
  });

  it('asks for nothing twice, and works offline afterwards', async () => {
    const hub = await hubOf({ 'someone/tiny': { files } });
    const folder = await downloadModel({ ...name, revision: 'v1' });
    const before = hub.asked.length;
    expect(await downloadModel({ ...name, revision: 'v1' })).toBe(folder);
    expect(hub.asked.length).toBe(before);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1');
    expect(await downloadModel({ ...name, revision: 'v1' })).toBe(folder);
    await expect(downloadModel(name)).rejects.toThrow(
      /^someone\/tiny: 'main' is not in the cache .* HF_HUB_OFFLINE is set; download it first$/,
    );
  });

  it('goes on where a break left off, within one run', async () => {
    const hub = await hubOf({ 'someone/tiny': { files } });
    hub.cutAfterBytes = 40_000;
    let last = { doneBytes: 0, totalBytes: 0 };
    const folder = await downloadModel(name, {
      onProgress: (progress) => {
        expect(progress.doneBytes).toBeGreaterThanOrEqual(last.doneBytes);
        last = progress;
      },
    });
    const from = hub.asked.filter(({ path }) => path === 'model.safetensors').map((each) => each.from);
    expect(from).toEqual([0, 40_000, 80_000]);
    expect(last.doneBytes).toBe(last.totalBytes);
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(checkpoint['model.safetensors']);
  });

  it('goes on where a stopped run left off', async () => {
    const hub = await hubOf({ 'someone/tiny': { files } });
    hub.cutAfterBytes = 50_000;
    const stop = new AbortController();
    let transfers = 0;
    hub.onFile = (path) => {
      if (path === 'model.safetensors' && ++transfers === 2) stop.abort();
    };
    await expect(downloadModel(name, { signal: stop.signal })).rejects.toHaveProperty('name', 'AbortError');
    const blobs = join(cache, 'models--someone--tiny/blobs');
    const [partial] = (await readdir(blobs)).filter((file) => file.endsWith('.incomplete'));
    const have = (await stat(join(blobs, partial!))).size;
    expect(have).toBeGreaterThanOrEqual(50_000);

    hub.cutAfterBytes = null;
    hub.asked.length = 0;
    await downloadModel(name);
    expect(hub.asked).toEqual([{ path: 'model.safetensors', from: have }]);
    expect(readdirSync(blobs).some((file) => file.endsWith('.incomplete'))).toBe(false);
  });

  it('leaves alone what a running process downloads, and takes over what one that ended has left', async () => {
    const hub = await hubOf({ 'someone/tiny': { files } });
    const blobs = join(cache, 'models--someone--tiny/blobs');
    const weights = checkpoint['model.safetensors']!;
    const digest = createHash('sha256').update(weights).digest('hex');
    await mkdir(blobs, { recursive: true });
    const partOf = (pid: number, host: string) => join(blobs, `${digest}.${pid}@${host}.incomplete`);
    const ended = spawnSync('true').pid;
    const [running, left, elsewhere] = [
      partOf(process.ppid, hostname()),
      partOf(ended, hostname()),
      partOf(1, 'another-machine'),
    ];
    await writeFile(running, Buffer.alloc(weights.length - 1));
    await writeFile(left, weights.subarray(0, 1000));
    await writeFile(elsewhere, Buffer.alloc(weights.length - 1));
    const folder = await downloadModel(name);
    expect(hub.asked).toContainEqual({ path: 'model.safetensors', from: 1000 });
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(weights);
    const others = [running, elsewhere].map((file) => basename(file));
    expect((await readdir(blobs)).filter((file) => file.endsWith('.incomplete')).sort()).toEqual(
      others.sort(),
    );
  });

  it('refuses what arrives damaged, and keeps nothing of it', async () => {
    const hub = await hubOf({ 'someone/tiny': { files } });
    for (const path of ['config.json', 'model.safetensors']) {
      hub.damaged = path;
      await expect(downloadModel(name)).rejects.toThrow(`${path}: arrived damaged`);
    }
    hub.damaged = null;
    await downloadModel(name);
  });

  it('begins a partial file anew that is longer than the file', async () => {
    await hubOf({ 'someone/tiny': { files } });
    await downloadModel(name);
    const blobs = join(cache, 'models--someone--tiny/blobs');
    const [large] = (await readdir(blobs)).filter((file) => file.length === 64);
    await writeFile(join(blobs, `${large}.${process.pid}@${hostname()}.incomplete`), Buffer.alloc(200_000));
    await writeFile(join(blobs, large!), 'cut');
    await downloadModel(name);
    expect(await readFile(join(blobs, large!))).toEqual(checkpoint['model.safetensors']);
  });

  it.each<[string, HubServer['repositories'], RegExp]>([
    [
      'gated',
      { 'someone/tiny': { files, status: 401 } },
      /is gated, private or missing; .* accept its terms at/,
    ],
    ['forbidden', { 'someone/tiny': { files, status: 403 } }, /the account of HF_TOKEN may not read it/],
    ['unknown', {}, /is not a folder here, and the hub has no such model or no revision 'main'/],
    ['of GGUF files', { 'someone/tiny': { files: { 'a.gguf': Buffer.from('') } } }, /holds GGUF files/],
    [
      'a LoRA adapter',
      { 'someone/tiny': { files: { 'adapter_config.json': Buffer.from('{}') } } },
      /LoRA adapter without its base/,
    ],
    [
      'in pickles',
      {
        'someone/tiny': { files: { 'config.json': Buffer.from('{}'), 'pytorch_model.bin': Buffer.from('') } },
      },
      /holds its weights as pytorch_model\.bin.*write them as safetensors/,
    ],
    ['without a tokenizer', { 'someone/tiny': { files: checkpoint } }, /has no tokenizer\.json/],
    [
      'with a SentencePiece model alone',
      { 'someone/tiny': { files: { ...checkpoint, 'spiece.model': Buffer.from('') } } },
      /has its tokenizer only as spiece\.model/,
    ],
  ])('says what to do about a repository that is %s', async (_what, repositories, message) => {
    await hubOf(repositories);
    const downloading = downloadModel(name);
    await expect(downloading).rejects.toThrow(message);
    await expect(downloading).rejects.toHaveProperty('name', 'ConfigurationError');
  });

  it('says what to do without a network, and about a token that is none', async () => {
    vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${await freePort()}`);
    await expect(downloadModel(name)).rejects.toThrow(
      /the hub cannot be reached \(ECONNREFUSED\); check the network/,
    );
    vi.stubEnv('HF_TOKEN', 'secret');
    const downloading = downloadModel(name);
    await expect(downloading).rejects.toThrow(/HF_TOKEN is not valid/);
    await expect(downloading).rejects.not.toThrow(/secret/);
  });
});

describe('names', () => {
  it.each([
    ['google/gemma-3n-E2B-it', { repo: 'google/gemma-3n-E2B-it', revision: 'main' }],
    ['a/b@v1.0', { repo: 'a/b', revision: 'v1.0' }],
    ['a/b@refs/pr/3', { repo: 'a/b', revision: 'refs/pr/3' }],
    ['./a/b', null],
    ['/a/b', null],
    ['../a', null],
    ['a', null],
    ['a/b/c', null],
    ['a/b@../c', null],
    ['models/austen-t5-dense', null],
  ])('%s', (text, expected) => {
    expect(readHubName(text)).toEqual(expected);
  });

  it('of a folder in a cache is the repository', async () => {
    const folder = join(await temporaryFolder(), 'models--google--gemma-3n-E2B-it/snapshots/abc');
    await mkdir(folder, { recursive: true });
    expect(nameOfFolder(folder)).toBe('gemma-3n-E2B-it');
    expect(nameOfFolder('/x/models--gpt2/snapshots/abc')).toBe('gpt2');
    expect(nameOfFolder('/x/gemma/snapshots/abc')).toBe('abc');
    expect(nameOfFolder('models/gemma')).toBe('gemma');
  });
});
