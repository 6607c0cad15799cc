import { expect, it } from 'vitest';
import { parseMetrics } from '../../src/loadtest/scrape-metrics.ts';

const scrape = parseMetrics(`# HELP a_total what
# TYPE a_total counter
a_total{model="x",status="200"} 3
a_total{model="x",status="429"} 4
a_total{model="say \\"y\\"",status="200"} 1e2
a_total_more 7
vllm:waiting 2
`);

it('sums the samples of a name that have the labels', () => {
  expect(scrape.sum('a_total')).toBe(107);
  expect(scrape.sum('a_total', { model: 'x' })).toBe(7);
  expect(scrape.sum('a_total', { model: 'x', status: '429' })).toBe(4);
  expect(scrape.sum('a_total', { model: 'say "y"' })).toBe(100);
  expect(scrape.sum('vllm:waiting')).toBe(2);
  expect(scrape.sum('b_total')).toBe(0);
});

it('knows which names there are', () => {
  expect(scrape.has('a_total_more')).toBe(true);
  expect(scrape.has('a')).toBe(false);
});
