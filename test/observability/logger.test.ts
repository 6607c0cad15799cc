import { expect, it } from 'vitest';
import { createLogger } from '../../src/observability/logger.ts';

it('never logs a key or a cookie, wherever a request is logged', () => {
  let line = '';
  const logger = createLogger('info', { write: (text) => (line = text) });
  const headers = { authorization: 'Bearer alpha', 'x-api-key': 'alpha', host: 'localhost' };
  logger.info(
    { authorization: 'alpha', headers, req: { headers: { ...headers, cookie: 'alpha' } } },
    'request',
  );
  expect(line).toContain('localhost');
  expect(line).not.toContain('alpha');
  expect(line.match(/\[redacted\]/g)).toHaveLength(6);
});
