import { describe, expect, it } from 'vitest';
import type { ServedModel } from '../../src/catalog/served-model.ts';
import { ApiKeys } from '../../src/config/api-keys.ts';
import { ServiceError } from '../../src/errors.ts';
import type { ModelKeeper } from '../../src/http/server-dependencies.ts';
import { fakeModel, fakeServer } from '../support/fake-server.ts';

const keys = { apiKeys: new ApiKeys('alpha,beta'), adminKeys: new Set(['key-2']) };

function adminServer(keeper: Partial<ModelKeeper> = {}, config: object = keys) {
  const models = [fakeModel('a'), fakeModel('b:int4', { state: 'unloaded' })];
  const { app } = fakeServer({ models, keeper, config });
  const post = (url: string, key: string | null = 'beta') =>
    app.inject({ method: 'POST', url, headers: key === null ? {} : { 'x-api-key': key } });
  return { models, post };
}

describe('the routes of administrators', () => {
  const urls = ['/admin/models/a/load', '/admin/models/a/unload', '/admin/models/reload'];

  it.each(urls)('%s is for the keys that ALTUP_ADMIN_KEYS names', async (url) => {
    const { post } = adminServer();
    expect((await post(url, null)).statusCode).toBe(401);
    expect((await post(url, 'gamma')).statusCode).toBe(401);
    const refused = await post(url, 'alpha');
    expect(refused.statusCode).toBe(403);
    expect(refused.json().error).toMatchObject({
      code: 'forbidden',
      message: 'This API key is not among those that ALTUP_ADMIN_KEYS names.',
    });
    expect((await post(url)).statusCode).toBe(200);
  });

  it.each([
    ['no admin key is named', { apiKeys: keys.apiKeys }, 'beta'],
    ['the service needs no key', {}, null],
  ])('are for nobody where %s', async (_, config, key) => {
    const { post } = adminServer({}, config);
    const refused = await post('/admin/models/reload', key);
    expect(refused.statusCode).toBe(403);
    expect(refused.json().error.message).toBe(
      'Nobody may use this route: ALTUP_ADMIN_KEYS names no API key.',
    );
  });

  it('load a model, by its name with a precision too, and answer with it', async () => {
    const loaded: string[] = [];
    const load = async (model: ServedModel) => {
      loaded.push(model.name);
      model.state = fakeModel('ready').state;
    };
    const { post } = adminServer({ load });
    const answer = await post('/admin/models/b%3Aint4/load');
    expect(answer.json()).toMatchObject({ id: 'b:int4', state: 'ready', memory_bytes: 1000 });
    expect(loaded).toEqual(['b:int4']);
    expect((await post('/admin/models/nobody/load')).json().error.code).toBe('model_not_found');
  });

  it('say when a model cannot be loaded now', async () => {
    const load = async () => {
      throw new ServiceError('not_ready', 'The model waits to be loaded.', { retryAfterSeconds: 3 });
    };
    const refused = await adminServer({ load }).post('/admin/models/a/load');
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([503, '3']);
  });

  it('unload a model, and answer with it', async () => {
    const unload = async (model: ServedModel) => {
      model.state = { state: 'unloaded' };
    };
    const answer = await adminServer({ unload }).post('/admin/models/a/unload');
    expect(answer.json()).toMatchObject({ id: 'a', state: 'unloaded', memory_bytes: 1500 });
  });

  it('read the folders again, and tell what is in them', async () => {
    const result = { added: ['c'], removed: ['a'], retried: [], problem: null };
    const answer = await adminServer({ reload: async () => result }).post('/admin/models/reload');
    expect([answer.statusCode, answer.json()]).toEqual([200, result]);
  });

  it('say with 202 that the folders are read later', async () => {
    const answer = await adminServer({ reload: async () => null }).post('/admin/models/reload');
    expect(answer.statusCode).toBe(202);
    expect(answer.json()).toMatchObject({
      added: [],
      removed: [],
      problem: expect.stringContaining('after'),
    });
  });
});
