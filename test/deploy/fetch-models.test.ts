import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';

const script = 'deploy/helm/altup-serve/files/fetch-models.ts';
const content = 'the content of a model';
const sha256 = createHash('sha256').update(content).digest('hex');

interface Source {
  url: string;
  host: string;
  /** The Authorization header of each request so far. */
  asked: (string | undefined)[];
}

/** Starts a source that answers with `content`, unless `answer` sends its own answer. */
async function serve(
  answer: (response: ServerResponse, asked: number) => boolean = () => false,
): Promise<Source> {
  const asked: Source['asked'] = [];
  const server = createServer(({ headers }, response) => {
    asked.push(headers.authorization);
    if (!answer(response, asked.length)) response.end(content);
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url: `http://${host}/model`, host, asked };
}

/** A source that redirects each request to another one. */
const redirectTo = (url: string) =>
  serve((response) => {
    response.writeHead(302, { location: url }).end();
    return true;
  });

async function fetchModels(
  folder: string,
  files: object[],
  credentials: object[] = [],
): Promise<{ code: number; stderr: string }> {
  const list = join(folder, 'downloads.json');
  await writeFile(list, JSON.stringify({ files, credentials }));
  const child = spawn(process.execPath, [script, list, folder], { stdio: ['ignore', 'ignore', 'pipe'] });
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return { code, stderr };
}

it('puts files in their place, and does not fetch them twice', async () => {
  const folder = await temporaryFolder();
  const { url, asked } = await serve((response, asked) => {
    if (asked === 1) response.writeHead(503).end('not yet');
    return asked === 1;
  });
  const files = [{ url, path: 'novels/config.json', sha256 }];
  expect(await fetchModels(folder, files)).toMatchObject({ code: 0 });
  expect(await readFile(join(folder, 'novels/config.json'), 'utf8')).toBe(content);
  expect(asked).toHaveLength(2);
  expect(await fetchModels(folder, files)).toMatchObject({ code: 0 });
  expect(asked).toHaveLength(2);
});

it('refuses what has another digest, and leaves nothing of it', async () => {
  const folder = await temporaryFolder();
  const { url } = await serve();
  const expected = sha256.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
  const { code, stderr } = await fetchModels(folder, [{ url, path: 'model.safetensors', sha256: expected }]);
  expect(code).toBe(1);
  expect(stderr).toContain(`its SHA-256 is ${sha256}; expected ${expected}`);
  for (const name of ['model.safetensors', 'model.safetensors.partial'])
    expect(existsSync(join(folder, name))).toBe(false);
});

it('writes nowhere but into the folder', async () => {
  const folder = await temporaryFolder();
  const { url } = await serve();
  expect(await fetchModels(folder, [{ url, path: '../../escaped', sha256 }])).toMatchObject({ code: 0 });
  expect(existsSync(join(folder, 'escaped'))).toBe(true);
});

it('gives each host its own credential, and none where it is redirected', async () => {
  const folder = await temporaryFolder();
  const [store, open] = [await serve(), await serve()];
  const [bearer, basic] = [await redirectTo(store.url), await redirectTo(store.url)];
  await writeFile(join(folder, 'token'), 'hf_secret\n');
  await writeFile(join(folder, 'password'), 'user:secret\n');
  const credentials = [
    { host: bearer.host, scheme: 'Bearer', file: join(folder, 'token') },
    { host: basic.host, scheme: 'Basic', file: join(folder, 'password') },
  ];
  const files = [bearer, basic, open].map(({ url }, index) => ({ url, path: `model-${index}`, sha256 }));
  expect(await fetchModels(folder, files, credentials)).toMatchObject({ code: 0 });
  expect(bearer.asked).toEqual(['Bearer hf_secret']);
  expect(basic.asked).toEqual([`Basic ${Buffer.from('user:secret').toString('base64')}`]);
  expect(open.asked).toEqual([undefined]);
  expect(store.asked).toEqual([undefined, undefined]);
});

it.each([401, 403, 404])('does not ask again after a %i, and says what it was asked with', async (status) => {
  const folder = await temporaryFolder();
  const { url, asked } = await serve((response) => {
    response.writeHead(status).end();
    return true;
  });
  const { code, stderr } = await fetchModels(folder, [{ url, path: 'model', sha256 }]);
  expect(code).toBe(1);
  expect(stderr).toContain(`status ${status}, asked without a credential`);
  expect(asked).toHaveLength(1);
});
