import { globSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fakeServer } from '../support/fake-server.ts';

it('/ is a page with a policy that allows its own parts alone', async () => {
  const response = await fakeServer().app.inject('/');
  expect(response.statusCode).toBe(200);
  expect(response.headers['content-type']).toBe('text/html; charset=utf-8');
  const policy = String(response.headers['content-security-policy']);
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self'");
  expect(policy).toContain("connect-src 'self';");
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
});

it.each([[['http://127.0.0.1:8000', 'https://llm.example.com']], [['*']]])(
  'the page may also call the servers %j that the service names, and nothing else changes',
  async (playgroundOrigins) => {
    const { headers } = await fakeServer({ config: { playgroundOrigins } }).app.inject('/');
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain(`connect-src 'self' ${playgroundOrigins.join(' ')};`);
    const plain = await fakeServer().app.inject('/');
    expect(policy.replace(` ${playgroundOrigins.join(' ')}`, '')).toBe(
      String(plain.headers['content-security-policy']),
    );
  },
);

it('/ is there while the service drains, and unchanged where it is known', async () => {
  const { app, drain } = fakeServer();
  drain();
  const { headers } = await app.inject('/');
  const again = await app.inject({ url: '/', headers: { 'if-none-match': String(headers.etag) } });
  expect([again.statusCode, again.body]).toEqual([304, '']);
});

it('the page’s parts are served, each by its kind, and nothing else', async () => {
  const { app, log } = fakeServer();
  const kinds: Record<string, string> = {
    js: 'application/javascript',
    css: 'text/css',
    svg: 'image/svg+xml',
  };
  const parts = globSync('**/*.{js,css,svg}', { cwd: join(import.meta.dirname, '../../src/ui') });
  expect(parts.length).toBeGreaterThan(10);
  parts.push('marked.js');
  for (const file of parts) {
    const response = await app.inject(`/playground/${file}`);
    const kind = String(response.headers['content-type']).split(';')[0];
    expect([file, response.statusCode, kind]).toEqual([file, 200, kinds[file.split('.')[1]!]]);
  }
  expect(log.filter(({ level, msg }) => msg === 'request' && level !== 'debug')).toEqual([]);
  for (const file of [
    'tsconfig.json',
    'index.html',
    '..%2Fapp.ts',
    'toString',
    'none.js',
    'chat',
    'chat/none.js',
    '../http/server.ts',
    'marked.d.ts',
  ]) {
    const response = await app.inject(`/playground/${file}`);
    expect([file, response.statusCode]).toEqual([file, 404]);
    expect(response.json().error).toMatchObject({ code: 'not_found', param: null });
  }
});
