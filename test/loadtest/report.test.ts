import { describe, expect, it } from 'vitest';
import { benchJson } from '../../src/loadtest/report/bench-json.ts';
import { htmlReport } from '../../src/loadtest/report/html-report.ts';
import { textReport } from '../../src/loadtest/report/text-report.ts';
import { loadtestResult } from '../support/loadtest-result.ts';

/** Fields that scripts for `vllm bench serve --save-result` read. */
const vllmFields = [
  'date,endpoint_type,label,model_id,num_prompts,request_rate,burstiness,max_concurrency,duration,completed,failed',
  'total_input_tokens,total_output_tokens,request_throughput,request_goodput,output_throughput,total_token_throughput',
  'max_concurrent_requests',
  ...['ttft', 'tpot', 'itl', 'e2el'].map((name) =>
    ['mean', 'median', 'std', 'p50', 'p90', 'p99', 'p99.9'].map((figure) => `${figure}_${name}_ms`).join(),
  ),
].flatMap((names) => names.split(','));

describe('reports', () => {
  const { plan, result } = loadtestResult('altup', 200);

  it('JSON has the names of vLLM’s bench and the figures of the stages', () => {
    const report = benchJson(plan, result) as { results: Record<string, unknown>[]; counts_agree: boolean };
    expect(report.counts_agree).toBe(true);
    expect(report.results).toHaveLength(4);
    for (const stage of report.results)
      expect(Object.keys(stage)).toEqual(expect.arrayContaining(vllmFields));
    expect(report.results[0]).toMatchObject({
      label: 'altup',
      request_rate: 5,
      burstiness: 1,
      completed: 40,
      failed: 0,
    });
    expect(report.results[0]!.mean_ttft_ms).toBeCloseTo(119.5, 0);
    expect(JSON.stringify(report)).not.toContain('sesame');
  });

  it('text compares the model with the baseline under the same load', () => {
    const text = textReport(result);
    const row = text.split('\n').find((line) => line.startsWith('altup ÷ dense') && line.includes(' 5/s '));
    expect(row).toMatch(/0\.54× +0\.58×/);
    expect(text).toContain('2 counts agree with /metrics exactly');
    const [first, ...others] = result.checks;
    expect(textReport({ ...result, checks: [{ ...first!, server: 81 }, ...others] })).toContain(
      'counts DIFFER from /metrics (is the server used by others?): requests of altup: client 80, server 81',
    );
    const unknown = { ...first!, server: null, reason: 'the server exposes no altup metrics' };
    expect(textReport({ ...result, checks: [unknown] })).toContain(
      'not checked, the server exposes no altup metrics',
    );
  });

  it('the page is one file that refers to nothing, and holds what models are called as text', () => {
    const hostile = '<img src=x>&"\'';
    const page = htmlReport(plan, loadtestResult(hostile, 200).result);
    expect(page).not.toContain('<img');
    expect(page).toContain('&#60;img src=x&#62;&#38;&#34;');
    expect(page).not.toMatch(/<(script|link)|\b(src|href)=(?!x&#62;)|url\(|@import/);
    expect(page).not.toContain('sesame');
  });
});
