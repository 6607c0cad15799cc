import { expect, it } from 'vitest';
import { createMetricsCatalogue } from '../../src/observability/metrics-catalogue.ts';
import { plain, readDoc, tableRows } from '../support/markdown-table.ts';

interface MetricDescription {
  name: string;
  type: string;
  help: string;
  labelNames: string[];
}

const registered = createMetricsCatalogue().registry.getMetricsAsArray() as unknown as MetricDescription[];
const isOurs = (name: string) => /^(altup_|vllm:)/.test(name);
const documented = tableRows(readDoc('metrics.md'), ['name', 'type', 'labels', 'meaning']).map(
  ([name, type, labels, help]) => ({
    name: plain(name!),
    type,
    labelNames: labels === '' ? [] : labels!.split(', ').map(plain),
    help,
  }),
);

it('docs/metrics.md has every metric of the service, and no other', () => {
  const described = registered.map(({ name, type, labelNames, help }) => ({ name, type, labelNames, help }));
  expect(described.filter(({ name }) => isOurs(name)).length).toBeGreaterThan(20);
  expect(documented.filter(({ name }) => isOurs(name))).toEqual(described.filter(({ name }) => isOurs(name)));
});

// Some of these metrics only exist on Linux.
it.runIf(process.platform === 'linux')('docs/metrics.md has every metric of Node, and no other', () => {
  const names = (metrics: { name: string }[]) =>
    metrics.map(({ name }) => name).filter((name) => !isOurs(name));
  expect(names(documented)).toEqual(names(registered));
});

it('docs/metrics.md asks only for metrics there are', () => {
  const names = registered.map(({ name }) => name);
  const asked = tableRows(readDoc('metrics.md'), ['question', 'expression']).flatMap(
    ([, expression]) => expression!.match(/\b(altup|nodejs)_\w+/g) ?? [],
  );
  expect(asked.length).toBeGreaterThan(5);
  for (const name of asked) expect(names).toContain(name.replace(/_(bucket|sum|count)$/, ''));
});
