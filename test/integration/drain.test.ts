import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';
import { readStream } from '../support/stream-completion.ts';

const settings = { ALTUP_MODELS: 'models/austen-t5-dense' };
const long = { prompt: 'Emma', max_tokens: 400, ignore_eos: true, temperature: 0, stream: true };

/** Its answer is larger than the buffers of two sockets. */
const tokenizeBody = JSON.stringify({ prompt: 'a '.repeat(500_000), return_token_strs: true });
const hasty = { ALTUP_DRAIN_TIMEOUT_MS: '0', ALTUP_BODY_LIMIT: '10000000' };

/** Milliseconds that a stopped service took from 'draining' to 'stopped'. */
async function stopMs(service: ServiceProcess): Promise<number> {
  const timeOf = async (message: string) => Date.parse(String((await service.logged(message)).time));
  return (await timeOf('stopped')) - (await timeOf('draining'));
}

describe('SIGTERM', () => {
  it('lets a running stream finish, refuses what is new, and exits with 0', async () => {
    const service = await ServiceProcess.start(settings);
    let signalled = false;
    let refusal: Promise<Response> | undefined;
    const response = await service.post('/v1/completions', long);
    const streamed = await readStream(response, () => {
      if (signalled) return;
      signalled = true;
      service.signal('SIGTERM');
      refusal = service.logged('draining').then(() => service.post('/v1/completions', long));
    });
    expect(streamed.error).toBeNull();
    expect(streamed.isDone).toBe(true);
    expect(streamed.choices[0]?.finish_reason).toBe('length');
    const refused = (await refusal)!;
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();
    expect(await refused.json()).toMatchObject({ error: { code: 'shutting_down' } });
    expect(await service.exited).toBe(0);
  });

  it('answers once more on a connection that a client keeps, then closes it', async () => {
    const service = await ServiceProcess.start(settings);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const complete = async () => {
      const headers = { 'content-type': 'application/json' };
      const asked = request(`${service.url}/v1/completions`, { method: 'POST', agent, headers });
      asked.end(JSON.stringify({ prompt: 'Emma', max_tokens: 4 }));
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      await buffer(answer);
      return { status: answer.statusCode, connection: answer.headers.connection, isKept: asked.reusedSocket };
    };
    expect(await complete()).toEqual({ status: 200, connection: 'keep-alive', isKept: false });
    service.signal('SIGTERM');
    await service.logged('draining');
    expect((await service.post('/v1/completions', long)).status).toBe(503);
    expect(await complete()).toEqual({ status: 200, connection: 'close', isKept: true });
    expect(await service.exited).toBe(0);
  });

  it('answers a request that it had not yet passed to the engine', async () => {
    const service = await ServiceProcess.start(settings);
    const body = JSON.stringify({ prompt: 'Emma', max_tokens: 4 });
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    const asked = request(`${service.url}/v1/completions`, { method: 'POST', headers, agent });
    const answered = once(asked, 'response') as Promise<[IncomingMessage]>;
    asked.write(body.slice(0, 10));
    // Answered after the service has read the headers above.
    await service.post('/tokenize', { prompt: 'x' });
    service.signal('SIGTERM');
    await service.logged('draining');
    // As long as a kept connection is given, and longer than an engine without requests takes to close.
    await setTimeout(1500);
    asked.end(body.slice(10));
    const [answer] = await answered;
    expect(JSON.parse(String(await buffer(answer)))).toMatchObject({ usage: { completion_tokens: 4 } });
    expect(answer.headers.connection).toBe('close');
    expect(await service.exited).toBe(0);
  });

  it('answers both requests of a client that sent the second before it had the answer', async () => {
    const service = await ServiceProcess.start(settings);
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    const body = JSON.stringify({ prompt: 'Emma', max_tokens: 100, ignore_eos: true, temperature: 0 });
    const asked = `POST /v1/completions HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    socket.write(asked + asked);
    // Answered after the service has read what came before.
    await service.post('/tokenize', { prompt: 'x' });
    service.signal('SIGTERM');
    const answers = String(await buffer(socket));
    expect(answers.match(/"completion_tokens":100/g)).toHaveLength(2);
    expect(await service.exited).toBe(0);
  });

  it('ends what the drain deadline cuts off with an error event and [DONE]', async () => {
    const service = await ServiceProcess.start({ ...settings, ALTUP_DRAIN_TIMEOUT_MS: '0' });
    const response = await service.post('/v1/completions', long);
    let signalled = false;
    const streamed = await readStream(response, () => {
      if (!signalled) service.signal('SIGTERM');
      signalled = true;
    });
    expect(streamed.error?.code).toBe('shutting_down');
    expect(streamed.isDone).toBe(true);
    expect(await service.exited).toBe(0);
  });

  it.each([
    ['never sends the rest of its request', '{"model": ', 100],
    ['does not read its answer', tokenizeBody, tokenizeBody.length],
  ])('does not wait for a client that %s', { timeout: 60_000 }, async (_, body, length) => {
    const service = await ServiceProcess.start({ ...settings, ...hasty });
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname).on('error', () => {});
    onTestFinished(() => void socket.destroy());
    socket.write(
      `POST /tokenize HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`,
    );
    socket.write(body);
    // Without a listener for data, the socket only reads as much as fits a small buffer.
    if (body.length === length) await once(socket, 'readable');
    else await service.post('/tokenize', { prompt: 'x' });
    expect(await service.stop()).toBe(0);
    expect(await stopMs(service)).toBeLessThan(5000);
  });

  it('does not wait for a connection that never asked anything', async () => {
    const service = await ServiceProcess.start(settings);
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname).on('error', () => {});
    await once(socket, 'connect');
    expect(await service.stop()).toBe(0);
    expect(await stopMs(service)).toBeLessThan(5000);
  });
});
