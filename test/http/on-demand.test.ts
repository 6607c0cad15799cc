import { describe, expect, it } from 'vitest';
import { notReady, type ServedModel } from '../../src/catalog/served-model.ts';
import type { ModelAsker } from '../../src/http/server-dependencies.ts';
import { fakeModel, fakeServer } from '../support/fake-server.ts';
import { fakeTexts } from '../support/fake-tokenizer.ts';

const complete = { method: 'POST', url: '/v1/completions', payload: { model: 'm', prompt: 'a' } } as const;

describe('a request for a model that is not in memory', () => {
  it('waits for it, and keeps it until the answer is complete', async () => {
    const model = fakeModel('m', { state: 'unloaded' });
    const loaded = Promise.withResolvers<void>();
    const askers: ModelAsker[] = [];
    let uses = 0;
    const use = async (_: ServedModel, asker: ModelAsker) => {
      askers.push(asker);
      await loaded.promise;
      uses += 1;
      return () => {
        uses -= 1;
      };
    };
    const { app, engine } = fakeServer({ models: [model], keeper: { use } });
    engine.script = () => [];
    const answer = app.inject(complete);
    await expect.poll(() => askers.length).toBe(1);
    expect(askers[0]!.client).toMatch(/^address /);
    expect(engine.submitted).toEqual([]);
    model.state = fakeModel('ready').state;
    loaded.resolve();
    const [request] = await engine.submission();
    expect(uses).toBe(1);
    engine.emit({ type: 'finished', id: request!.id, at: 5, reason: 'stop', stopReason: null, text: 'x' });
    expect((await answer).statusCode).toBe(200);
    expect(uses).toBe(0);
  });

  it('is refused with the time to come back when that takes too long', async () => {
    const use = async ({ name, state }: ServedModel) => {
      throw notReady(name, state, 12);
    };
    const { app, log } = fakeServer({ models: [fakeModel('m', { state: 'unloaded' })], keeper: { use } });
    const refused = await app.inject(complete);
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([503, '12']);
    expect(refused.json().error).toMatchObject({
      code: 'not_ready',
      message: "The model 'm' waits to be loaded.",
    });
    expect(log.at(-1)).toMatchObject({ model: 'm', errorCode: 'not_ready' });
  });

  it('says in its log line how long it waited, loaded in time or not', async () => {
    const model = fakeModel('m', { state: 'unloaded' });
    const wait = { ms: 700, isInTime: true };
    const use = async ({ name, state }: ServedModel) => {
      clock.now += wait.ms;
      if (!wait.isInTime) throw notReady(name, state, 12);
      model.state = fakeModel('ready').state;
      return () => {};
    };
    const { app, engine, clock, log } = fakeServer({ models: [model], keeper: { use } });
    engine.script = (request) => {
      const { id } = request;
      clock.now += 5;
      return [{ type: 'finished', id, at: clock.now, reason: 'stop', stopReason: null, text: 'x' }];
    };
    await app.inject(complete);
    expect(log.at(-1)).toMatchObject({ durationMs: 705, loadingMs: 700, queueMs: 5 });
    model.state = { state: 'unloaded' };
    wait.isInTime = false;
    await app.inject(complete);
    expect(log.at(-1)).toMatchObject({ durationMs: 700, loadingMs: 700, status: 503 });
  });

  it.each([
    ['embeddings of a model without an encoder', '/v1/embeddings', { input: 'a' }, 'model'],
    ['a chat', '/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }] }, 'model'],
    ['a response', '/v1/responses', { input: 'a' }, 'model'],
    [
      'a prefix for a decoder',
      '/v1/completions',
      { prompt: 'a', completion_prefix: 'b' },
      'completion_prefix',
    ],
    ['a token outside the vocabulary', '/v1/completions', { prompt: [5, 9999] }, 'prompt'],
    ['a token for an image', '/v1/completions', { prompt: [5, 258] }, 'prompt'],
    ['nothing to generate', '/v1/completions', { prompt: 'a', max_tokens: 0 }, 'max_tokens'],
  ])('is refused before the load if it can never succeed: %s', async (_, url, fields, param) => {
    const unloaded = fakeModel('m', { state: 'unloaded' }, 'decoder-only');
    const use = async () => {
      throw new Error('the model would be loaded');
    };
    const { app } = fakeServer({ models: [{ ...unloaded, texts: fakeTexts(null) }], keeper: { use } });
    const refused = await app.inject({ method: 'POST', url, payload: { model: 'm', ...fields } });
    expect(refused.statusCode).toBe(400);
    expect(refused.json().error).toMatchObject({ code: 'invalid_request', param });
  });

  it('gives the model back when the request is refused for its fields', async () => {
    let uses = 0;
    const use = async () => {
      uses += 1;
      return () => {
        uses -= 1;
      };
    };
    const { app } = fakeServer({ models: [fakeModel('m')], keeper: { use } });
    const payload = { ...complete.payload, best_of: 1, n: 2 };
    expect((await app.inject({ ...complete, payload })).statusCode).toBe(400);
    expect(uses).toBe(0);
  });

  it('has its text tokenized without it', async () => {
    const { app } = fakeServer({ models: [fakeModel('m', { state: 'unloaded' })] });
    const answer = await app.inject({ method: 'POST', url: '/tokenize', payload: { prompt: 'ab' } });
    expect(answer.json()).toMatchObject({ count: 3, max_model_len: null });
  });
});
