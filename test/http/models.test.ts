import { expect, it } from 'vitest';
import { fakeModel, fakeServer } from '../support/fake-server.ts';

const { app } = fakeServer({
  models: [
    fakeModel('pair'),
    fakeModel('gpt', undefined, 'decoder-only'),
    fakeModel('broken', { state: 'failed', message: 'no such file' }),
    fakeModel('late', { state: 'loading' }),
    fakeModel('out', { state: 'unloaded' }),
  ],
});

const pair = {
  id: 'pair',
  object: 'model',
  created: 1_780_000_000,
  owned_by: 'altup-serve',
  root: 'pair',
  parent: null,
  max_model_len: 24,
  max_completion_tokens: 32,
  state: 'ready',
  memory_bytes: 1000,
  precision: 'fp32',
  variant: 'altup-k2',
  has_chat_template: true,
};

it('lists the models with their limits and states', async () => {
  const { object, data } = (await app.inject('/v1/models')).json();
  expect(object).toBe('list');
  expect(data[0]).toEqual(pair);
  expect(data.slice(1)).toMatchObject([
    { id: 'gpt', max_model_len: 32, max_completion_tokens: 32, state: 'ready' },
    {
      id: 'broken',
      max_model_len: null,
      max_completion_tokens: null,
      state: 'failed',
      memory_bytes: null,
      variant: null,
      has_chat_template: null,
    },
    { id: 'late', max_model_len: null, state: 'loading', memory_bytes: 1500 },
    { id: 'out', max_model_len: null, state: 'unloaded', memory_bytes: 1500, has_chat_template: true },
  ]);
});

it('describes one', async () => {
  expect((await app.inject('/v1/models/pair')).json()).toEqual(pair);
  expect((await app.inject('/v1/models/pair%3Afp32')).json()).toEqual(pair);
  const unknown = await app.inject('/v1/models/nobody');
  expect(unknown.statusCode).toBe(404);
  expect(unknown.json().error).toMatchObject({
    code: 'model_not_found',
    message: "No model is named 'nobody'; served: pair, gpt, broken, late, out.",
  });
});
