import { describe, expect, it } from 'vitest';
import { badRequests } from '../support/bad-requests.ts';
import { fakeServer } from '../support/fake-server.ts';

const { app, engine } = fakeServer({ config: { bodyLimit: 1_048_576 } });

describe('what vLLM refuses is a short 400 that names the field', () => {
  it.each(badRequests)('$param: $what', async ({ body, param }) => {
    const response = await app.inject({
      method: 'POST',
      url: '/v1/completions',
      payload: { prompt: 'a', ...body },
    });
    expect(response.statusCode).toBe(400);
    expect(response.json().error).toMatchObject({ code: 'invalid_request', param });
    expect(Buffer.byteLength(response.body)).toBeLessThanOrEqual(2048);
    expect(engine.submitted).toEqual([]);
  });
});
