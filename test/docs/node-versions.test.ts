import { execFile } from 'node:child_process';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { major, minVersion, satisfies, subset } from 'semver';
import { expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import lock from '../../package-lock.json' with { type: 'json' };
import { temporaryFolder } from '../support/temporary-folder.ts';

interface Locked {
  integrity?: string;
  engines?: { node?: string };
}

const supported = packageJson.engines.node;
/** The Node that `npm ci` installs; its version is the same on each platform. */
const [pinned, ...otherPins] = new Set(
  Object.entries(packageJson.optionalDependencies)
    .filter(([name]) => name.startsWith('node-'))
    .map(([, version]) => version),
);
const packages = Object.entries(lock.packages as Record<string, Locked>).filter(([path]) => path !== '');

it('README.md names the supported versions of package.json', async () => {
  const versions = supported.split(' || ').map((range) => minVersion(range)!.version.replace(/(\.0)+$/, ''));
  expect(await readFile('README.md', 'utf8')).toContain(
    `Node ${versions.join(', ').replace(/, (\S+)$/, ' or $1')}`,
  );
});

it('one major version runs scripts, the image and the workflows', async () => {
  expect(otherPins).toEqual([]);
  expect(satisfies(pinned!, supported)).toBe(true);
  const majors: string[] = [packageJson.devDependencies['@types/node'].replace(/^\D*(\d+).*/, '$1')];
  const found = async (file: string, pattern: RegExp) => {
    const matches = [...(await readFile(file, 'utf8')).matchAll(pattern)];
    expect(matches.length, file).toBeGreaterThan(0);
    majors.push(...matches.map(([, version]) => version!));
  };
  await found('README.md', /brings Node (\d+)/g);
  await found('Dockerfile', /\bnode:(\d+)/g);
  await found('.github/workflows/ci.yml', /node-version: (\d+)/g);
  await found('.github/workflows/release.yml', /node-version: (\d+)/g);
  expect(new Set(majors)).toEqual(new Set([String(major(pinned!))]));
});

it('every package in the lock file runs on every supported version, and is held to a digest', () => {
  expect(packages.length).toBeGreaterThan(300);
  for (const [path, { engines, integrity }] of packages) {
    expect(subset(supported, engines?.node ?? '*'), `${path} needs Node ${engines?.node}`).toBe(true);
    expect(integrity, path).toMatch(/^sha512-/);
  }
});

it('npm ci prints no warning', { timeout: 60_000 }, async () => {
  const folder = await temporaryFolder();
  for (const file of ['package.json', 'package-lock.json', '.npmrc']) await cp(file, join(folder, file));
  const { stdout, stderr } = await promisify(execFile)('npm', ['ci', '--dry-run', '--offline'], {
    cwd: folder,
    env: { ...process.env, NPM_CONFIG_USERCONFIG: join(folder, 'none') },
  });
  expect(stdout).toContain('added');
  expect(stderr).not.toContain('npm warn');
  // npm 11 warns about unapproved install scripts; with scripts off there are none.
  expect(await readFile('.npmrc', 'utf8')).toMatch(/^ignore-scripts=true$/m);
});
