import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';

const files = ['Dockerfile', 'docker-compose.yml'];
const digest = (digit: string) => `@sha256:${digit.repeat(64)}`;
const withoutDigests = (text: string) => text.replaceAll(/@sha256:[0-9a-f]{64}/g, '');

/** A copy of the files, and a fake Docker client. */
class Pinning {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async begin(): Promise<Pinning> {
    const folder = await temporaryFolder();
    for (const file of files)
      await writeFile(join(folder, file), withoutDigests(await readFile(file, 'utf8')));
    return new Pinning(folder);
  }

  /** @param digests the digests that the client reports for each image */
  async pin(digests: string, ...args: string[]): Promise<string> {
    const client = join(this.#folder, 'docker');
    await writeFile(client, `#!/bin/sh\n[ "$1" = pull ] || printf '%s\\n' ${digests}\n`, { mode: 0o755 });
    const env = { ...process.env, PATH: `${this.#folder}:${process.env.PATH}` };
    const script = ['scripts/pin-images.sh', ...args, this.#folder];
    return (await promisify(execFile)('bash', script, { env })).stdout;
  }

  async text(): Promise<string> {
    return (await Promise.all(files.map((file) => readFile(join(this.#folder, file), 'utf8')))).join('');
  }
}

it('gives every image its digest, and nothing else anything', async () => {
  const pinning = await Pinning.begin();
  const before = await pinning.text();
  const said = await pinning.pin(`node${digest('1')}`);
  expect(said.trim().split('\n')).toHaveLength(5);
  const after = await pinning.text();
  for (const image of ['debian:', 'node:', 'rust:', 'prom/prometheus:', 'grafana/grafana:'])
    expect(after).toMatch(new RegExp(`[ -]${image}[^ @]+${digest('1')}`));
  expect(after).not.toContain(`altup-serve:latest${digest('1')}`);
  expect(withoutDigests(after)).toBe(before);
});

it('replaces digests that are old, unless it is asked for missing ones', async () => {
  const pinning = await Pinning.begin();
  await pinning.pin(`node${digest('1')}`);
  expect(await pinning.pin(`node${digest('2')}`, '--missing')).toBe('');
  expect(await pinning.text()).not.toContain(digest('2'));
  await pinning.pin(`node${digest('2')}`);
  expect(await pinning.text()).not.toContain(digest('1'));
});

it('refuses an image without a digest', async () => {
  const pinning = await Pinning.begin();
  await expect(pinning.pin("''")).rejects.toThrow('Docker knows no digest of it');
  expect(await pinning.text()).not.toContain('@sha256:');
});
