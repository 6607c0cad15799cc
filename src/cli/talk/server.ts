import { createParser } from 'eventsource-parser';
import { ConfigurationError } from '../../errors.ts';

/** A model as `/v1/models` lists it. Servers other than this one may only tell the name. */
export interface ListedModel {
  id: string;
  state?: 'unloaded' | 'loading' | 'ready' | 'unloading' | 'restarting' | 'failed';
  has_chat_template?: boolean | null;
  /** null: it is not loaded. */
  max_model_len?: number | null;
}

/** A server of OpenAI's API. */
export interface Server {
  /** Without /v1. */
  url: string;
  /** null: none is sent. */
  apiKey: string | null;
}

/** What a server says at the end of an answer. */
export interface Ending {
  /** Generated tokens; null: it does not say. */
  tokens: number | null;
  /** The limit on tokens ended the answer. */
  isCutOff: boolean;
}

interface Chunk {
  choices?: { text?: string | null; delta?: { content?: string | null }; finish_reason?: string | null }[];
  usage?: { completion_tokens: number } | null;
  error?: { message?: string };
}

const headersOf = ({ apiKey }: Server) => ({
  'content-type': 'application/json',
  // A connection that stays open would delay the end of a service that runs in this process.
  connection: 'close',
  ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
});

/**
 * @returns null if no server of this API answers at the address
 * @throws ConfigurationError if one does, and refuses
 */
export async function listModels(server: Server): Promise<ListedModel[] | null> {
  const signal = AbortSignal.timeout(10_000);
  const response = await fetch(`${server.url}/v1/models`, { headers: headersOf(server), signal }).catch(
    () => null,
  );
  const answer = (await response?.json().catch(() => null)) as { data?: ListedModel[] } | null;
  if (response?.status === 401)
    throw new ConfigurationError(`${server.url} needs an API key; set ALTUP_API_KEY`);
  return response?.ok && Array.isArray(answer?.data) ? answer.data : null;
}

/**
 * Streams the text of an answer.
 * @throws ConfigurationError with the server's words if it refuses or fails; what `signal` aborts with
 */
export async function* streamText(
  server: Server,
  path: '/v1/completions' | '/v1/chat/completions',
  body: object,
  signal: AbortSignal,
): AsyncGenerator<string, Ending> {
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers: headersOf(server),
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  }).catch((cause) => {
    if (signal.aborted) throw cause;
    throw new ConfigurationError(`${server.url} cannot be reached`, { cause });
  });
  if (!response.ok) {
    const answer = (await response.json().catch(() => null)) as Chunk | null;
    throw new ConfigurationError(answer?.error?.message ?? `${server.url} answers ${response.status}`);
  }
  const chunks: Chunk[] = [];
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data !== '[DONE]') chunks.push(JSON.parse(data));
    },
  });
  const decoder = new TextDecoder();
  const ending: Ending = { tokens: null, isCutOff: false };
  for await (const bytes of response.body!) {
    parser.feed(decoder.decode(bytes, { stream: true }));
    for (const { choices, usage, error } of chunks.splice(0)) {
      if (error) throw new ConfigurationError(error.message ?? 'the answer broke off');
      ending.tokens = usage?.completion_tokens ?? ending.tokens;
      ending.isCutOff ||= choices?.[0]?.finish_reason === 'length';
      const text = choices?.[0]?.text ?? choices?.[0]?.delta?.content ?? '';
      if (text !== '') yield text;
    }
  }
  return ending;
}
