import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import lock from '../../package-lock.json' with { type: 'json' };
import { temporaryFolder } from '../support/temporary-folder.ts';

interface Locked {
  dev?: boolean;
  optional?: boolean;
  version: string;
}

interface Component {
  name: string;
  version: string;
}

const read = (file: string) => readFileSync(file, 'utf8');
const workflows = globSync('.github/workflows/*.yml');

describe.each(workflows)('%s', (file) => {
  const text = read(file);

  it('names actions by their commits, and the version beside', () => {
    const uses = [...text.matchAll(/uses: (.*)/g)].map(([, action]) => action!);
    expect(uses.length).toBeGreaterThan(0);
    for (const action of uses) expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    // Each action is used in one version only.
    expect(new Set(uses).size).toBe(new Set(uses.map((action) => action.split('@')[0])).size);
  });

  it('may read alone, unless a job says more', () => {
    expect(parse(text).permissions).toEqual({ contents: 'read' });
  });

  it('builds with the Rust that the image is built with', () => {
    const [, inImage] = /^FROM rust:(\d+\.\d+)/m.exec(read('Dockerfile'))!;
    const installed = [...text.matchAll(/rustup .*? (\d+\.\d+)\.\d+ .*rustup default (\d+\.\d+)/g)];
    expect(installed.length).toBe(text.match(/rustup toolchain/g)!.length);
    for (const [, toolchain, standard] of installed)
      expect([toolchain, standard]).toEqual([inImage, inImage]);
  });
});

it('the workflow runs every command of .ci/run, and waits for each of its jobs', () => {
  const { jobs } = parse(read('.github/workflows/ci.yml'));
  const { gate, ...working } = jobs as Record<string, { needs: string[]; steps: { run?: string }[] }>;
  expect(gate!.needs).toEqual(Object.keys(working));
  const runs = Object.values(working).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []));
  // Without the places of reports and of the daemon's process id.
  const commands = [...read('.ci/run').matchAll(/^ *step [\w-]+ (.+)$/gm)].map(([, command]) =>
    command!.replace(/( --)? (\$\(junit \w+\)|"[^"]*\$(reports|docker)[^"]*")$/, ''),
  );
  expect(commands.length).toBeGreaterThan(10);
  const isRun = (command: string) => runs.some((run) => run === command || run.startsWith(`${command} `));
  expect(commands.filter((command) => !isRun(command))).toEqual([]);
});

it('each image that the Dockerfile begins with is named once, with a tag, for Dependabot', () => {
  const bases = [...read('Dockerfile').matchAll(/^FROM (\S+)/gm)].map(([, image]) => image!);
  const external = bases.filter((image) => image.includes(':'));
  expect(external.map((image) => image.replace(/:.*/, '')).sort()).toEqual(['debian', 'node', 'rust']);
  const stages = [...read('Dockerfile').matchAll(/ AS (\S+)/g)].map(([, stage]) => stage!);
  for (const image of bases)
    if (!external.includes(image) && !image.includes('$')) expect(['scratch', ...stages]).toContain(image);
});

it('Dependabot looks after everything that names a version', () => {
  const { updates } = parse(read('.github/dependabot.yml'));
  const sources: Record<string, string[]> = {
    npm: ['package-lock.json'],
    cargo: ['native/Cargo.lock'],
    pip: ['native/tools.txt', 'training/requirements.txt'],
    docker: ['Dockerfile'],
    'docker-compose': ['docker-compose.yml'],
    'github-actions': ['.github/workflows/ci.yml'],
  };
  const ecosystems = updates.map((each: Record<string, string>) => each['package-ecosystem']);
  expect(ecosystems.sort()).toEqual(Object.keys(sources).sort());
  for (const file of Object.values(sources).flat()) expect(existsSync(file), file).toBe(true);
  for (const { directory, directories = [directory], ...update } of updates) {
    for (const folder of directories)
      expect(
        sources[update['package-ecosystem']]!.some((file) =>
          file.includes('/') ? join('/', file).startsWith(folder) : folder === '/',
        ),
        folder,
      ).toBe(true);
  }
});

it('the list of npm packages for a release has all that are shipped, and no other', async () => {
  const file = join(await temporaryFolder(), 'npm.cdx.json');
  await promisify(execFile)(process.execPath, ['scripts/write-sbom.ts', file]);
  const { bomFormat, components, dependencies } = JSON.parse(read(file));
  expect(bomFormat).toBe('CycloneDX');
  const packages = Object.entries(lock.packages as Record<string, Locked>);
  const shipped = packages
    .filter(([path, { dev, optional }]) => path !== '' && !dev && !optional)
    .map(([path, { version }]) => `${path.replace(/.*node_modules\//, '')}@${version}`);
  expect(shipped.length).toBeGreaterThan(50);
  const listed: string[] = components.map(({ name, version }: Component) => `${name}@${version}`);
  expect(listed.sort()).toEqual([...new Set(shipped)].sort());
  for (const { hashes } of components) expect(hashes[0].alg).toBe('SHA-512');
  expect(dependencies).toHaveLength(components.length + 1);
});
