import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { createParser } from 'eventsource-parser';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeNative } from '../native/native-addon.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { escapingTemplate } from '../support/tool-templates.ts';

const model = join(import.meta.dirname, '../../models/austen-gemma3');

const parameters = {
  type: 'object',
  properties: {
    who: { enum: ['Emma', 'Darcy', 'Fanny'] },
    age: { type: 'integer', minimum: 0, maximum: 99 },
    note: { type: 'string', maxLength: 12 },
    friends: { type: 'array', items: { $ref: '#/$defs/name' }, maxItems: 2 },
  },
  required: ['who', 'age', 'friends'],
  $defs: {
    name: { type: 'object', properties: { name: { type: 'string', maxLength: 5 } }, required: ['name'] },
  },
};
const tools = [
  { type: 'function', function: { name: 'invite', description: 'Invites to a ball.', parameters } },
  { type: 'function', function: { name: 'leave' } },
];
const isValid = new Ajv2020().compile({ ...parameters, additionalProperties: false });

interface Message {
  content: string | null;
  tool_calls?: { id: string; type: string; function: { name: string; arguments: string } }[];
}
interface Choice {
  index: number;
  message: Message;
  finish_reason: string;
  logprobs: { content: unknown[] } | null;
}

/** Makes `templateWith` write what it writes with tools. */
const described = { chat_template_kwargs: { described: true } };
const user = { role: 'user', content: 'Who comes to the ball?' };

/** A template whose calls have JSON after a tag. */
const templateWith = (tag: string) =>
  `{% if tools or described %}Tools: {% endif %}{% for m in messages %}{{ m.content }}{% if m.tool_calls %}${tag} {"name": "{{ m.tool_calls[0].function.name }}", "arguments": {{ m.tool_calls[0].function.arguments | tojson }}}.{% endif %}{% endfor %}`;

/** A template whose calls begin with a word that the model often writes. */
const wordyTemplate =
  '{% if tools or described %}Tools: {% endif %}{% for m in messages %}{{ m.content }}\n\n{% if m.tool_calls %}Mr.{{ m.tool_calls[0].function.name }} {{ m.tool_calls[0].function.arguments | tojson }}.{% endif %}{% endfor %}';

/** Gives a token that the model often writes another name. */
async function renameToken(folder: string, token: string, content: string, special: boolean): Promise<void> {
  const file = join(folder, 'tokenizer.json');
  const tokenizer = JSON.parse(await readFile(file, 'utf8'));
  const [first] = tokenizer.added_tokens;
  tokenizer.added_tokens.push({ ...first, id: tokenizer.model.vocab[token], content, special });
  await writeFile(file, JSON.stringify(tokenizer));
}

describeNative('tools with a model that knows nothing of them', () => {
  let service: ServiceProcess;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'altup-test-'));
    const copy = async (name: string, chatTemplate: string) => {
      await cp(model, join(folder, name), { recursive: true, preserveTimestamps: true });
      await writeFile(join(folder, name, 'chat_template.jinja'), chatTemplate);
      return join(folder, name);
    };
    const escapes = await copy('escapes', escapingTemplate);
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
      const text = await readFile(join(model, file), 'utf8');
      const renamed = text.replaceAll('<pad>', '<escape>').replaceAll('<unk>', '<start_function_call>');
      await writeFile(join(escapes, file), renamed);
    }
    const renamed = async (name: string, tag: string, token: string, isSpecial: boolean) => {
      const folder = await copy(name, templateWith(tag));
      await renameToken(folder, token, tag, isSpecial);
      return folder;
    };
    const others = [
      await renamed('misters', '<call>', 'ĠMr', false),
      await renamed('wells', '<call>', 'Ġwell', false),
      await renamed('mistral', '[TOOL_CALLS]', 'ĠMr', true),
      await copy('wordy', wordyTemplate),
    ];
    service = await ServiceProcess.start({
      ALTUP_MODELS: [model, escapes, ...others].join(),
      ALTUP_SLOTS: '8',
    });
  });
  afterAll(async () => {
    await service.stop();
    await rm(folder, { recursive: true });
  });

  const post = (fields: object) =>
    service.post('/v1/chat/completions', {
      model: 'misters',
      messages: [user],
      tools,
      max_completion_tokens: 250,
      seed: 1,
      ...fields,
    });

  async function tokenOf(character: string): Promise<number> {
    const response = await service.post('/tokenize', {
      model: 'austen-gemma3',
      prompt: character,
      add_special_tokens: false,
    });
    return ((await response.json()) as { tokens: number[] }).tokens[0]!;
  }

  async function choices(fields: object): Promise<Choice[]> {
    const answer = (await (await post(fields)).json()) as { choices: Choice[]; error?: object };
    expect(answer.error).toBeUndefined();
    return answer.choices;
  }

  /** The choices of a stream, joined as clients do. */
  async function streamed(fields: object): Promise<Choice[]> {
    const found: Choice[] = [];
    const parser = createParser({
      onEvent: ({ data }) => {
        if (data === '[DONE]') return;
        for (const { index, delta, finish_reason, logprobs } of JSON.parse(data).choices) {
          found[index] ??= { index, message: { content: null }, finish_reason: '', logprobs: null };
          const choice = found[index];
          if (delta.content) choice.message.content = (choice.message.content ?? '') + delta.content;
          for (const { index: at, ...call } of delta.tool_calls ?? []) {
            choice.message.tool_calls ??= [];
            const calls = choice.message.tool_calls;
            if (calls[at]) calls[at].function.arguments += call.function.arguments;
            else calls[at] = call;
          }
          if (logprobs)
            choice.logprobs = { content: [...(choice.logprobs?.content ?? []), ...logprobs.content] };
          choice.finish_reason = finish_reason ?? choice.finish_reason;
        }
      },
    });
    parser.feed(await (await post({ ...fields, stream: true })).text());
    return found;
  }

  /** A model whose template knows no tools, and what is short enough for it. */
  const agreed = { model: 'austen-gemma3', tools: tools.slice(1), tool_choice: 'required' };

  const called = (all: readonly Choice[]) =>
    all.map(({ message: { content, tool_calls: calls = [] } }) => ({
      content,
      calls: calls.map((call) => [call.function.name, call.function.arguments]),
    }));

  it('required: every choice is calls with valid arguments, streamed or not', async () => {
    const fields = { tool_choice: 'required', parallel_tool_calls: false, n: 8, logprobs: true };
    const whole = await choices(fields);
    expect(whole).toHaveLength(8);
    for (const { message, finish_reason } of whole) {
      expect(message.content).toBeNull();
      expect(finish_reason).toBe('tool_calls');
      expect(message.tool_calls).toHaveLength(1);
      const { name, arguments: json } = message.tool_calls![0]!.function;
      if (name === 'leave') expect(json).toBe('{}');
      else expect(isValid(JSON.parse(json)), json).toBe(true);
    }
    const ids = whole.map(({ message }) => message.tool_calls![0]!.id);
    expect(new Set(ids).size).toBe(8);
    const stream = await streamed(fields);
    expect(called(stream)).toEqual(called(whole));
    expect(stream.map(({ finish_reason }) => finish_reason)).toEqual(
      whole.map((choice) => choice.finish_reason),
    );
    expect(stream.map(({ logprobs }) => logprobs?.content)).toEqual(
      whole.map(({ logprobs }) => logprobs?.content),
    );
  });

  it('a named function is called once', async () => {
    const named = { type: 'function', function: { name: 'invite' } };
    for (const { message } of await choices({ tool_choice: named, n: 4 })) {
      expect(message.tool_calls!.map((call) => call.function.name)).toEqual(['invite']);
    }
  });

  it('several calls, each with an id', async () => {
    const fields = { ...agreed, n: 8, max_completion_tokens: 200 };
    const all = (await choices(fields)).flatMap(({ message }) => message.tool_calls!);
    expect(all.length).toBeGreaterThan(8);
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  });

  it('a call that is cut off is as far as it came', async () => {
    const [cut] = await choices({
      tool_choice: 'required',
      tools: tools.slice(0, 1),
      max_completion_tokens: 34,
    });
    expect(cut).toMatchObject({ finish_reason: 'length', message: { content: null } });
    expect(cut!.message.tool_calls![0]!.function).toMatchObject({
      name: 'invite',
      arguments: expect.stringMatching(/^\{"/),
    });
    const [early] = await choices({ tool_choice: 'required', max_completion_tokens: 3 });
    expect(early).toMatchObject({ finish_reason: 'length', message: { content: '' } });
  });

  it('calls in control tokens, some of them special, become JSON', async () => {
    const fields = { model: 'escapes', tool_choice: 'required', parallel_tool_calls: false, n: 8 };
    const whole = await choices(fields);
    for (const { message, finish_reason } of whole) {
      expect(finish_reason).toBe('tool_calls');
      const { name, arguments: json } = message.tool_calls![0]!.function;
      expect(name === 'leave' || isValid(JSON.parse(json)), json).toBe(true);
    }
    expect(called(await streamed(fields))).toEqual(called(whole));
    for (const { message } of await choices({ model: 'escapes', n: 4, max_completion_tokens: 40 }))
      expect(message.content).toEqual(expect.any(String));
  });

  it('auto: text is what it is without tools until a call begins, and the call is valid', async () => {
    const own = { n: 16, temperature: 0.8 };
    const [withTools, without] = await Promise.all([
      choices(own),
      choices({ ...own, tools: null, ...described }),
    ]);
    let calls = 0;
    for (const [i, { message, finish_reason }] of withTools.entries()) {
      const text = without[i]!.message.content!;
      const free = text.includes('<call>') ? text.slice(0, text.indexOf('<call>')).trimEnd() : text;
      expect(message.content ?? '').toBe(free);
      if (finish_reason === 'length') continue;
      expect(message.tool_calls !== undefined).toBe(text.includes('<call>'));
      if (!message.tool_calls) continue;
      calls += 1;
      expect(finish_reason).toBe('tool_calls');
      const { name, arguments: json } = message.tool_calls[0]!.function;
      expect(name === 'leave' || isValid(JSON.parse(json)), json).toBe(true);
    }
    expect(calls).toBeGreaterThan(2);
    expect(called(await streamed(own))).toEqual(called(withTools));
  });

  it('auto: a special token begins a call, as Mistral’s does', async () => {
    const own = { model: 'mistral', n: 16, temperature: 0.8 };
    const without = await choices({ ...own, tools: null, skip_special_tokens: false, ...described });
    const withTools = await choices(own);
    let calls = 0;
    for (const [i, { message, finish_reason }] of withTools.entries()) {
      const [free, ...others] = without[i]!.message.content!.split('[TOOL_CALLS]');
      expect(message.content ?? '').toBe(others.length > 0 ? free!.trimEnd() : free);
      if (finish_reason === 'length') continue;
      expect(message.tool_calls !== undefined).toBe(others.length > 0);
      if (!message.tool_calls) continue;
      calls += 1;
      const { name, arguments: json } = message.tool_calls[0]!.function;
      expect(name === 'leave' || isValid(JSON.parse(json)), json).toBe(true);
    }
    expect(calls).toBeGreaterThan(2);
    expect(called(await streamed(own))).toEqual(called(withTools));
  });

  it('auto: a call that begins with a word only begins an answer', async () => {
    const own = { model: 'wordy', n: 16, temperature: 0.8, logit_bias: { [await tokenOf('Mr')]: 3 } };
    const without = await choices({ ...own, tools: null, ...described });
    const withTools = await choices(own);
    const texts = without.map(({ message }) => message.content!);
    const calls = withTools.filter(({ message }) => message.tool_calls);
    expect(calls.length).toBeGreaterThan(1);
    expect(calls.length).toBe(texts.filter((text) => text.startsWith('Mr.')).length);
    const free = withTools.filter(({ message }) => !message.tool_calls);
    expect(free.some(({ message }) => message.content!.includes('Mr.'))).toBe(true);
    for (const { index, message } of free) expect(message.content).toBe(texts[index]);
    expect(called(await streamed(own))).toEqual(called(withTools));
  });

  it('with a response_format, every choice is a document or a call', async () => {
    const schema = { type: 'object', properties: { fine: { type: 'boolean' } }, required: ['fine'] };
    const fields = {
      ...agreed,
      tool_choice: 'auto',
      parallel_tool_calls: false,
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
      n: 8,
    };
    const documents = await choices({ ...fields, logit_bias: { [await tokenOf('<')]: -100 } });
    const calls = await choices({ ...fields, logit_bias: { [await tokenOf('{')]: -100 } });
    expect(
      documents.map(({ message, finish_reason }) => [JSON.parse(message.content!), finish_reason]),
    ).toEqual(Array(8).fill([{ fine: expect.any(Boolean) }, 'stop']));
    expect(called(calls)).toEqual(Array(8).fill({ content: null, calls: [['leave', '{}']] }));
  });

  it('auto: prompt lookup goes on in free text, up to a call', async () => {
    const sentence = '\n\n"I am sure you will be very well."';
    const own = {
      model: 'wells',
      messages: [{ role: 'user', content: sentence.repeat(4) }],
      temperature: 0,
      max_completion_tokens: 120,
    };
    const ask = async (fields: object) =>
      (await (await post({ ...own, ...fields })).json()) as {
        choices: [Choice];
        usage: { completion_tokens_details: { accepted_prediction_tokens: number } };
      };
    const withTools = await ask({});
    const without = await ask({ tools: null, ...described });
    const text = without.choices[0].message.content!;
    expect(text).toContain('<call>');
    expect(withTools.choices[0].message.content).toBe(text.slice(0, text.indexOf('<call>')).trimEnd());
    expect(withTools.choices[0].message.tool_calls).toHaveLength(1);
    expect(withTools.usage.completion_tokens_details.accepted_prediction_tokens).toBeGreaterThan(0);
  });

  it('the next turn reuses the prompt, with the call as it was generated', async () => {
    const fields = { ...agreed, parallel_tool_calls: false, temperature: 0 };
    const ask = async (more: object) =>
      (await (await post({ ...fields, ...more })).json()) as {
        choices: Choice[];
        usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
      };
    const first = await ask({});
    const { message } = first.choices[0]!;
    const result = { role: 'tool', tool_call_id: message.tool_calls![0]!.id, content: 'yes' };
    const second = await ask({ messages: [user, message, result] });
    expect(second.usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(
      first.usage.prompt_tokens - 1,
    );
  });

  it('holds calls to what it can of a schema, and refuses a strict one by its place', async () => {
    const odd = {
      type: 'object',
      properties: {
        a: {
          type: 'array',
          items: { enum: ['x', 'y'], not: { const: 'z' } },
          uniqueItems: true,
          maxItems: 3,
        },
        b: { type: 'string', pattern: '^(?!a)b$', format: 'odd', maxLength: 3 },
      },
      required: ['a', 'b'],
      propertyNames: { maxLength: 1 },
    };
    const withStrict = (strict: boolean) => ({
      tools: [...tools, { type: 'function', function: { name: 'f', parameters: odd, strict } }],
      tool_choice: { type: 'function', function: { name: 'f' } },
    });
    for (const name of ['misters', 'escapes']) {
      const [choice] = await choices({ model: name, ...withStrict(false) });
      const given = JSON.parse(choice!.message.tool_calls![0]!.function.arguments);
      expect(given).toEqual({ a: expect.any(Array), b: expect.stringMatching(/^.{0,3}$/s) });
      expect(given.a.every((each: string) => each === 'x' || each === 'y')).toBe(true);
    }
    const response = await post(withStrict(true));
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { param: string; message: string } };
    expect(error.param).toBe('tools');
    expect(error.message).toMatch(/^`tools\[2\]\.function\.parameters` cannot be compiled: /);
  });
});
