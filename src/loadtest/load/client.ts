import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { json } from 'node:stream/consumers';
import type { Prompt } from './prompts.ts';
import { paths, requestBody } from './request-body.ts';
import type { RequestRecord } from './request-record.ts';
import { StreamAnswer } from './stream-answer.ts';
import type { RequestOptions, Target } from './target.ts';

type Outcome = Pick<RequestRecord, 'status' | 'failure'>;

/** Sends requests to one target over keep-alive connections, as many as it needs at once. */
export class Client {
  readonly #url: URL;
  readonly #target: Target;
  readonly #options: RequestOptions;
  readonly #agent: HttpAgent;
  readonly #request: typeof httpRequest;

  constructor(target: Target, options: RequestOptions) {
    this.#target = target;
    this.#options = options;
    this.#url = new URL(target.url + paths[options.endpoint]);
    const isSecure = this.#url.protocol === 'https:';
    // Plain node:http: what reading costs here is taken from the service on the same machine.
    this.#agent = isSecure ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
    this.#request = isSecure ? httpsRequest : httpRequest;
  }

  /** Sends one request now and reads its answer to the end. Never rejects: failures are part of the record. */
  async send(prompt: Prompt, scheduledAt: number): Promise<RequestRecord> {
    const body = requestBody(this.#target, prompt, this.#options);
    const sentAt = performance.now();
    const answer = new StreamAnswer();
    const outcome = await this.#exchange(body, answer);
    const { firstContentAt, lastContentAt, gapsMs, usage } = answer;
    return {
      scheduledAt,
      sentAt,
      firstContentAt,
      lastContentAt,
      endedAt: performance.now(),
      gapsMs,
      promptTokens: usage?.promptTokens ?? null,
      // Without usage in the stream, each piece of content counts as one token.
      outputTokens: usage?.outputTokens ?? (firstContentAt === null ? null : gapsMs.length + 1),
      ...outcome,
    };
  }

  close(): void {
    this.#agent.destroy();
  }

  #exchange(body: string, answer: StreamAnswer): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    let status: number | null = null;
    let current: ClientRequest;
    const timer = setTimeout(() => {
      resolve({ status, failure: 'timeout' });
      current.destroy();
    }, this.#options.timeoutMs);
    const attempt = () => {
      current = this.#request(this.#url, {
        method: 'POST',
        agent: this.#agent,
        headers: this.#headers(body),
      });
      current.on('error', (error: NodeJS.ErrnoException) => {
        // The server closed an idle connection just as this request took it: it never saw the request.
        if (current.reusedSocket && status === null && error.code === 'ECONNRESET') attempt();
        else resolve({ status, failure: `connection ${error.code ?? error.message}` });
      });
      current.on('response', (response) => {
        status = response.statusCode!;
        read(response, status, answer).then((failure) => resolve({ status, failure }));
      });
      current.end(body);
    };
    attempt();
    return promise.finally(() => clearTimeout(timer));
  }

  #headers(body: string): Record<string, string | number> {
    const { apiKey } = this.#options;
    return {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
    };
  }
}

/** @returns how it failed; null if it was complete */
async function read(response: IncomingMessage, status: number, answer: StreamAnswer): Promise<string | null> {
  try {
    if (status !== 200) return `http ${status}${await errorCode(response)}`;
    for await (const bytes of response) answer.feed(bytes, performance.now());
  } catch (error) {
    if (error instanceof SyntaxError) return 'malformed stream';
    return `connection ${(error as NodeJS.ErrnoException).code ?? 'lost'}`;
  }
  if (answer.errorCode !== null) return `stream error ${answer.errorCode}`;
  return answer.isDone ? null : 'incomplete stream';
}

async function errorCode(response: IncomingMessage): Promise<string> {
  const body = (await json(response).catch(() => null)) as { error?: { code?: unknown } } | null;
  const code = body?.error?.code;
  return typeof code === 'string' ? ` ${code}` : '';
}
