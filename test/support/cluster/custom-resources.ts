import { globSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import { kubectl } from './release.ts';

/** Defines the kinds of the Prometheus operator, KEDA, the Gateway API, its inference extension and KServe. */
export async function defineCustomResources(): Promise<void> {
  const files = globSync(join(inject('cluster').helm, 'crds/*.yaml'));
  for (const file of files) await kubectl().run('apply', '--server-side', '--filename', file);
  await kubectl().run('wait', '--for=condition=Established', 'crds', '--all', '--timeout=60s');
}
