import { createParser } from 'eventsource-parser';
import { ChatTemplate } from '../../src/catalog/tokenizer/chat-template.ts';
import type { ServerConfig } from '../../src/http/server-dependencies.ts';
import { GrammarError, type GrammarSource } from '../../src/sampling/grammar.ts';
import type { FakeEngine } from './fake-engine.ts';
import { fakeModel, fakeServer } from './fake-server.ts';
import { fakeTexts, fakeTokenizer } from './fake-tokenizer.ts';

const plainTemplate =
  "{% for m in messages %}{% if m.role == 'assistant' and loop.first %}{{ raise_exception('no user first') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

interface Options {
  template?: string;
  script?: FakeEngine['script'];
  config?: Partial<ServerConfig>;
  backend?: string;
  capacity?: number;
  specials?: string[];
}

/** A server with a model that chats, for tests of responses. */
export function responsesServer({
  template = plainTemplate,
  script,
  config = {},
  backend = 'native',
  capacity = 4096,
  specials,
}: Options = {}) {
  const compiled: GrammarSource[] = [];
  const runtime = { backend, executionProvider: 'cpu' } as const;
  const limits = { slots: 4, capacity, encoderCapacity: 0, cacheBudget: 0, isCacheLimit: false };
  const state = { state: 'ready' as const, ...limits, runtime };
  const model = fakeModel('tiny', state as Parameters<typeof fakeModel>[1], 'decoder-only');
  const server = fakeServer({
    models: [{ ...model, vocabulary: fakeTokenizer(specials), texts: fakeTexts(new ChatTemplate(template)) }],
    config,
    compileGrammar: async (_, source) => {
      compiled.push(source);
      if ('lark' in source && source.lark.includes('impossible'))
        throw new GrammarError('2(9): it contradicts itself');
      return { id: 42 };
    },
  });
  if (script) server.engine.script = script;
  const post = (payload: object, headers: Record<string, string> = {}) =>
    server.app.inject({ method: 'POST', url: '/v1/responses', payload, headers });
  return { ...server, compiled, post };
}

/** Sends one request for a response. */
export async function respond(payload: object, options: Options = {}) {
  const server = responsesServer(options);
  const response = await server.post({ input: 'hi', ...payload });
  const [submitted] = server.engine.submitted;
  const prompt = submitted && fakeTokenizer().decode(submitted.promptTokens);
  return { ...server, response, prompt, submitted, status: response.statusCode };
}

/** The events of a stream, whose names are their types and whose numbers count from 0. */
export function responseEvents(body: string): (Record<string, unknown> & { type: string })[] {
  const events: (Record<string, unknown> & { type: string })[] = [];
  createParser({
    onEvent: ({ event, data }) => {
      const { sequence_number, ...parsed } = JSON.parse(data);
      if (parsed.type !== event || sequence_number !== events.length)
        throw new Error(`event ${events.length} is called ${event} and says ${data}`);
      events.push(parsed);
    },
  }).feed(body);
  return events;
}
