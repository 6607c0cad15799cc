import { expect, it } from 'vitest';
import { parseObjectives } from '../../src/loadtest/plan/objectives.ts';

it('reads several objectives, vLLM’s name for the whole included', () => {
  expect(parseObjectives('ttft:200, itl:50,e2e:3000')).toEqual({ ttft: 200, itl: 50, e2e: 3000 });
  expect(parseObjectives('e2el:3000')).toEqual({ e2e: 3000 });
});

it.each(['', 'ttft', 'ttft:0', 'ttft:fast', 'latency:5'])('refuses %j by the flag’s name', (text) => {
  expect(() => parseObjectives(text)).toThrow(
    /^--slo: ".*" is not an objective; expected one of ttft, tpot, itl, e2e/,
  );
});
