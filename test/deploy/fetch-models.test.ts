import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';

const script = 'deploy/helm/altup-serve/files/fetch-models.ts';
const content = 'the content of a model';
const sha256 = createHash('sha256').update(content).digest('hex');

/** Serves `content`, after so many failures. */
async function serve(failures = 0): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((_, answer) => {
    asked += 1;
    if (asked <= failures) answer.writeHead(503).end('not yet');
    else answer.end(content);
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`, asked: () => asked };
}

async function fetchModels(folder: string, files: object[]): Promise<{ code: number; stderr: string }> {
  const list = join(folder, 'files.json');
  await writeFile(list, JSON.stringify(files));
  const child = spawn(process.execPath, [script, list, folder], { stdio: ['ignore', 'ignore', 'pipe'] });
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return { code, stderr };
}

it('puts files in their place, and does not fetch them twice', async () => {
  const folder = await temporaryFolder();
  const { url, asked } = await serve(1);
  const files = [{ url, path: 'novels/config.json', sha256 }];
  expect(await fetchModels(folder, files)).toMatchObject({ code: 0 });
  expect(await readFile(join(folder, 'novels/config.json'), 'utf8')).toBe(content);
  expect(asked()).toBe(2);
  expect(await fetchModels(folder, files)).toMatchObject({ code: 0 });
  expect(asked()).toBe(2);
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
