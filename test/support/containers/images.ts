import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { docker, projectRoot } from './docker.ts';

/** A first build compiles the addon; on a machine without a registry it also makes the base images. */
export const buildTimeoutMs = 1_500_000;

export const serviceImage = 'altup-serve:test';
export const bareImage = 'altup-serve:test-bare';
export const prometheusImage = 'altup-serve-test/prometheus';

/** Builds the service's image from the Dockerfile, target `cpu`, as `serviceImage`. */
export async function buildServiceImage(): Promise<void> {
  await build(serviceImage);
}

/** Builds the same image without models, as `bareImage`. */
export async function buildBareImage(): Promise<void> {
  await build(bareImage, '--build-arg', 'MODELS=no');
}

async function build(tag: string, ...args: string[]): Promise<void> {
  await makeBaseImages();
  // Base images made here have other digests than those of the registry.
  const folder = await mkdtemp(join(tmpdir(), 'altup-serve-'));
  const dockerfile = join(folder, 'Dockerfile');
  const text = await readFile(join(projectRoot, 'Dockerfile'), 'utf8');
  await writeFile(dockerfile, text.replaceAll(/@sha256:[0-9a-f]{64}/g, ''));
  // Without a bundle the secret is empty, and the Dockerfile ignores an empty one.
  const bundle = process.env.NODE_EXTRA_CA_CERTS ?? '/dev/null';
  const secret = ['--secret', `id=extra_ca,src=${bundle}`];
  await docker('build', '--quiet', '--file', dockerfile, ...secret, ...args, '--tag', tag, '.');
  await rm(folder, { recursive: true });
}

/** Builds Prometheus from Debian's package, as `prometheusImage`; it includes `promtool`. */
export async function buildPrometheusImage(): Promise<void> {
  await makeBaseImages();
  await docker(
    'build',
    '--quiet',
    '-t',
    prometheusImage,
    '-f',
    'test/e2e/images/prometheus.Dockerfile',
    'test/e2e/images',
  );
}

async function makeBaseImages(): Promise<void> {
  await promisify(execFile)('bash', ['test/e2e/images/base-images.sh'], { cwd: projectRoot });
}
