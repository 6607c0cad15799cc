import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { Cluster, type ClusterOptions } from '../support/cluster/cluster.ts';
import type { Outcome } from '../support/cluster/outcomes.ts';

declare module 'vitest' {
  interface ProvidedContext {
    cluster: { tools: string; helm: string; folder: string };
  }
}

/** Starts the cluster that scripts/test-cluster.ts made room for; afterwards, prints what each scenario's load met. */
export default async function setup(project: TestProject): Promise<() => void> {
  const described = process.env.ALTUP_TEST_CLUSTER;
  if (!described) throw new Error('These tests need namespaces of their own: npm run test:cluster');
  const options = JSON.parse(described) as ClusterOptions & { helm: string };
  const { tools, helm, folder } = options;
  project.provide('cluster', { tools, helm, folder });
  const start = performance.now();
  await Cluster.start(options);
  console.log(`${options.nodes} nodes are ready after ${Math.round((performance.now() - start) / 1000)} s`);
  return () => console.log(formatOutcomes(folder));
}

/** A table of what the load of each scenario met. */
function formatOutcomes(folder: string): string {
  const file = join(folder, 'outcomes.jsonl');
  if (!existsSync(file)) return 'no scenario ended';
  const outcomes = readFileSync(file, 'utf8').trim().split('\n');
  const rows = outcomes.map((line) => {
    const { scenario, sent, failed, lost } = JSON.parse(line) as Outcome;
    return `| ${scenario} | ${sent} | ${failed} | ${lost} |`;
  });
  return ['| scenario | sent | failed | lost |', '|---|---|---|---|', ...rows].join('\n');
}
