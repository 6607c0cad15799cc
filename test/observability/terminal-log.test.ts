import { describe, expect, it } from 'vitest';
import { createLogger } from '../../src/observability/logger.ts';
import { TerminalLog } from '../../src/observability/terminal-log.ts';

function terminal() {
  const written: string[] = [];
  const log = new TerminalLog({ write: (text) => written.push(text) }, '1.2.3');
  return { logger: createLogger('info', log), text: () => written.join('') };
}

const time = /\d\d:\d\d:\d\d/;

describe('a log on a terminal', () => {
  it('begins with the address, the models and what to try', () => {
    const { logger, text } = terminal();
    logger.info({ backend: 'native', executionProvider: 'cpu', because: 'x' }, 'runtime');
    logger.info('Server listening at http://127.0.0.1:8080');
    logger.info({ url: 'http://127.0.0.1:8080' }, 'listening');
    logger.info({ model: 'big', percent: 40, left: '12 s left' }, 'exporting');
    logger.info({ model: 'tiny', loadSeconds: 0.2173124990016222, backend: 'native' }, 'model ready');
    logger.error({ model: 'bad', reason: 'bad/config.json: is missing' }, 'model failed');
    logger.info({ models: ['tiny'] }, 'ready');
    expect(text()).toBe(
      [
        'altup-serve 1.2.3, native backend on cpu',
        'Listening on http://127.0.0.1:8080; Ctrl-C stops.',
        '  big                      exporting, 40 %, 12 s left',
        '  tiny                     ready in 0.217 s',
        '  bad                      failed: bad/config.json: is missing',
        '',
        '1 model is ready. Try:',
        '  npx altup complete --model tiny "It is a truth"',
        '  npx altup chat',
        '  http://127.0.0.1:8080/      the playground',
        '  http://127.0.0.1:8080/docs  the API',
        '',
        '',
      ].join('\n'),
    );
  });

  it('names the address to the commands if they would not find it', () => {
    const { logger, text } = terminal();
    logger.info({ url: 'http://127.0.0.1:81' }, 'listening');
    logger.info({ models: ['a', 'b'] }, 'ready');
    expect(text()).toContain('2 models are ready');
    expect(text()).toContain('npx altup chat --url http://127.0.0.1:81\n');
  });

  it('has a short line for each request', () => {
    const { logger, text } = terminal();
    const request = { method: 'POST', route: '/v1/completions', status: 200, durationMs: 1145.666 };
    logger.info(
      { ...request, model: 'tiny', promptTokens: 3, generatedTokens: 12, requestId: 'r' },
      'request',
    );
    logger.info(
      { ...request, route: 'none', status: 404, durationMs: 2.0221, errorCode: 'not_found' },
      'request',
    );
    const [answered, refused] = text().replaceAll(new RegExp(time, 'g'), 'T').split('\n');
    expect(answered).toBe('T POST /v1/completions 200 in 1146 ms, tiny, 3 + 12 tokens');
    expect(refused).toBe('T POST unknown path 404 in 2.02 ms, not_found');
  });

  it('shows everything else with its level and fields, and an error with its stack', () => {
    const { logger, text } = terminal();
    logger.info({ withinMs: 30_000 }, 'draining');
    logger.error({ err: new Error('broken'), models: ['a'] }, 'it failed');
    expect(text()).toMatch(/^\d\d:\d\d:\d\d draining withinMs=30000\n/);
    expect(text()).toMatch(/error: it failed models=\["a"\]\n {2}Error: broken\n {6}at /);
  });

  it('cannot be changed by what others wrote', () => {
    const { logger, text } = terminal();
    logger.error({ model: 'a\u001b[2J', reason: 'b\r\nready\u009b31m' }, 'model failed');
    logger.info({ models: ['\u001b]0;title\u0007'] }, 'ready');
    expect(text()).not.toMatch(/[^\P{Cc}\n]/u);
    expect(text().split('\n')[0]).toMatch(/failed: b {2}ready 31m$/);
  });
});
