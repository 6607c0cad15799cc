import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { prebuiltAddon, prebuiltPackages } from '../../src/runtime/native/native-addon.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A project in which the package `name` with `file` is installed. */
async function project(name: string, version: string, file: string): Promise<string> {
  const folder = await temporaryFolder();
  const own = join(folder, 'node_modules', name);
  mkdirSync(own, { recursive: true });
  writeFileSync(join(own, 'package.json'), JSON.stringify({ name, version, main: 'addon.node' }));
  cpSync(file, join(own, 'addon.node'));
  return folder;
}

it.each(Object.entries(prebuiltPackages))('finds the package for %s', async (platform, name) => {
  const folder = await project(name, packageJson.version, import.meta.filename);
  expect(prebuiltAddon(join(folder, 'main.js'), platform)).toEqual({
    path: join(folder, 'node_modules', name, 'addon.node'),
  });
});

it('says what is missing or does not fit', async () => {
  const empty = join(await temporaryFolder(), 'main.js');
  expect(prebuiltAddon(empty, 'linux-arm64')).toEqual({
    path: null,
    reason: 'its package altup-serve-linux-arm64-gnu is not installed',
  });
  expect(prebuiltAddon(empty, 'aix-ppc64')).toEqual({
    path: null,
    reason: 'there is no prebuilt one for aix-ppc64',
  });
  const old = await project('altup-serve-linux-x64-gnu', '0.0.9', import.meta.filename);
  expect(prebuiltAddon(join(old, 'main.js'), 'linux-x64')).toEqual({
    path: null,
    reason: `altup-serve-linux-x64-gnu has version 0.0.9, not ${packageJson.version}`,
  });
});
