import { expect, it } from 'vitest';
import { createMetricsCatalogue } from '../../src/observability/metrics-catalogue.ts';
import { dashboardQueries, readDashboard } from '../support/dashboard-queries.ts';

const { panels, templating } = readDashboard();
const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
const variable = (name: string) => templating.list.find((each) => each.name === name)!;

it('the dashboard finds the service under any name of its scrape job', () => {
  // Without a value of its own, All is the list of jobs found, so no other program's process is shown.
  expect(variable('job')).toMatchObject({ definition: 'label_values(altup_build_info, job)' });
  expect(variable('job').allValue).toBeUndefined();
  const selectors = expressions.flatMap((expression) => expression.match(/\{[^}]*\}/g) ?? []);
  expect(selectors.length).toBeGreaterThanOrEqual(expressions.length);
  for (const selector of selectors) expect(selector).toContain('job=~"$job"');
  for (const name of ['instance', 'model']) expect(variable(name).definition).toContain('job=~"$job"');
});

it('the dashboard asks for metrics there are', () => {
  const names = createMetricsCatalogue()
    .registry.getMetricsAsArray()
    .map(({ name }) => name);
  const asked = dashboardQueries().flatMap(({ query }) => query.match(/\b(altup|nodejs|process)_\w+/g) ?? []);
  for (const name of asked) expect(names).toContain(name.replace(/_(bucket|sum|count)$/, ''));
});

it('the dashboard shows each panel once, and none over another', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
});
