import { expect, it } from 'vitest';
import { createLogger } from '../../src/observability/logger.ts';

function logged(level: string, log: (logger: ReturnType<typeof createLogger>) => void) {
  const lines: string[] = [];
  log(createLogger(level, { write: (line) => lines.push(line) }));
  return lines.map((line) => JSON.parse(line));
}

it('writes levels by name, without host or process', () => {
  expect(logged('info', (logger) => logger.warn({ model: 'm' }, 'slow'))).toEqual([
    { level: 'warn', time: expect.stringMatching(/Z$/), model: 'm', msg: 'slow' },
  ]);
});

it('leaves out what is below its level', () => {
  expect(logged('warn', (logger) => logger.info('quiet'))).toEqual([]);
});

it('cuts out credentials', () => {
  const headers = { authorization: 'Bearer sesame', cookie: 'sesame', accept: 'text/html' };
  const [line] = logged('info', (logger) =>
    logger.info({ req: { headers }, headers: { authorization: 'sesame' } }),
  );
  expect(JSON.stringify(line)).not.toContain('sesame');
  expect(line.req.headers.accept).toBe('text/html');
});
