import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { docker, projectRoot } from './docker.ts';

/** A first build compiles the addon, and on a machine without a registry makes the images to begin with. */
export const buildTimeoutMs = 1_500_000;

export const serviceImage = 'altup-serve:test';
export const bareImage = 'altup-serve:test-bare';
export const prometheusImage = 'altup-serve-test/prometheus';

/** The service's image from the Dockerfile, target `cpu`, under `serviceImage`. */
export async function buildServiceImage(): Promise<void> {
  await build(serviceImage);
}

/** The same without models, under `bareImage`. */
export async function buildBareImage(): Promise<void> {
  await build(bareImage, '--build-arg', 'MODELS=no');
}

async function build(tag: string, ...args: string[]): Promise<void> {
  await makeBaseImages();
  // A bundle that is not there is an empty secret, which the Dockerfile takes for none.
  const bundle = process.env.NODE_EXTRA_CA_CERTS ?? '/dev/null';
  await docker('build', '--quiet', '--secret', `id=extra_ca,src=${bundle}`, ...args, '-t', tag, '.');
}

/** Prometheus from Debian's package, under `prometheusImage`; `promtool` is in it. */
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
