import { connect, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { smallGemma3n } from '../support/small-gemma3n.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Opens a socket and sends a streaming request on it, without an HTTP client. */
async function send(service: ServiceProcess, body: object): Promise<Socket> {
  const { hostname, port } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  const text = JSON.stringify({ ...body, stream: true });
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  return socket;
}

/** Resolves once the metric has the value; the test's own timeout bounds the wait. */
async function until(service: ServiceProcess, value: number, ...metric: string[]): Promise<void> {
  while ((await service.metric(...metric)) !== value) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Takes seconds. */
const long = { prompt: 'It was', max_tokens: 20_000, ignore_eos: true, temperature: 0 };

it('a client that hangs up gives its slot back while it decodes, and its place while it is queued', async () => {
  // A published model's context: the shipped ones end after 512 tokens, which may be over before the test looks.
  const folder = await temporaryFolder();
  await writeRandomGemma3n(folder, smallGemma3n);
  const service = await ServiceProcess.start({
    ALTUP_MODELS: folder,
    ALTUP_SLOTS: '1',
    ALTUP_PROMPT_LOOKUP: 'false',
  });
  onTestFinished(async () => {
    await service.stop();
  });
  const running = await send(service, long);
  await until(service, 1, 'altup_requests_running{');
  const queued = await send(service, long);
  await until(service, 1, 'altup_requests_waiting{');

  queued.destroy();
  await until(service, 1, 'altup_requests_aborted_total', 'stage="queued"');
  expect(await service.metric('altup_requests_waiting{')).toBe(0);

  running.destroy();
  await until(service, 1, 'altup_requests_aborted_total', 'stage="decode"');
  expect(await service.metric('altup_requests_running{')).toBe(0);
  expect(await service.metric('altup_generated_tokens_total')).toBeLessThan(20_000);

  const next = await service.post('/v1/completions', { ...long, max_tokens: 3 });
  expect(next.status).toBe(200);
});
