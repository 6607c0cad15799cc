import { afterAll, beforeAll, describe } from 'vitest';
import { docker, dockerIsMissing } from './docker.ts';

// The test library pulls no image of its own, and ports are published on this machine.
process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';
process.env.TESTCONTAINERS_HOST_OVERRIDE ??= '127.0.0.1';

/** Label on everything that tests start, to find what an interrupted run left behind. */
export const testLabel = 'altup-serve.test';

/** A group of tests that needs a Docker engine; without one the group is skipped and its name says why. */
export function describeDocker(name: string, tests: () => void): void {
  const missing = dockerIsMissing();
  if (missing !== null) {
    describe.skip(`${name} (skipped: ${missing})`, tests);
    return;
  }
  describe(name, () => {
    beforeAll(sweep);
    afterAll(sweep);
    tests();
  });
}

async function sweep(): Promise<void> {
  const filter = ['--filter', `label=${testLabel}`];
  const containers = (await docker('ps', '--all', '--quiet', ...filter)).split('\n').filter(Boolean);
  if (containers.length > 0) await docker('rm', '--force', '--volumes', ...containers);
  await docker('network', 'prune', '--force', '--filter', 'label=org.testcontainers=true');
}
