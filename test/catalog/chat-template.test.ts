import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ChatTemplate, ChatTemplateError } from '../../src/catalog/tokenizer/chat-template.ts';
import { readTokenizerInfo } from '../../src/catalog/tokenizer/tokenizer-info.ts';
import { ConfigurationError } from '../../src/errors.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Modelled on Gemma's: roles must alternate, and the system message precedes the first user message. */
const source = `{{ bos_token }}
{%- for message in messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Roles must take turns") }}
    {%- endif -%}
    {{ '<turn>' + message['role'] + '\\n' + message['content'] | trim + '<end>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<turn>model\\n' }}{%- endif -%}`;

const chat = [
  { role: 'user', content: ' Who is he? ' },
  { role: 'assistant', content: 'A proud man.' },
  { role: 'user', content: 'Why?' },
];

async function checkpoint(files: Record<string, string | object>): Promise<string> {
  const folder = await temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

const rendered = (template: ChatTemplate | null, addGenerationPrompt = true) =>
  template!.render(chat, { addGenerationPrompt, continuesFinal: false, variables: {} });

const expected =
  '<bos><turn>user\nWho is he?<end>\n<turn>assistant\nA proud man.<end>\n<turn>user\nWhy?<end>\n';

const load = (folder: string) => ChatTemplate.load(readTokenizerInfo(folder));

describe('a chat template', () => {
  it.each([
    ['text', { bos_token: '<bos>', chat_template: source }, {}],
    [
      'list of named ones',
      {
        bos_token: { content: '<bos>' },
        chat_template: [
          { name: 'tool_use', template: 'no' },
          { name: 'default', template: source },
        ],
      },
      {},
    ],
    [
      'file of its own, which goes first',
      { bos_token: '<bos>', chat_template: 'no' },
      { 'chat_template.jinja': source },
    ],
  ])('is read as a %s', async (_form, config, others) => {
    const template = load(await checkpoint({ 'tokenizer_config.json': config, ...others }));
    expect(rendered(template)).toBe(`${expected}<turn>model\n`);
    expect(rendered(template, false)).toBe(expected);
  });

  it('may be missing', async () => {
    expect(load(await checkpoint({ 'tokenizer_config.json': { bos_token: null } }))).toBeNull();
  });

  it('that cannot be read is named', async () => {
    const folder = await checkpoint({ 'tokenizer_config.json': {}, 'chat_template.jinja': '{% if %}' });
    expect(() => load(folder)).toThrow(ConfigurationError);
    expect(() => load(folder)).toThrow(/chat_template\.jinja is not a chat template/);
  });

  it('refuses in its own words', () => {
    const template = new ChatTemplate(source);
    const render = () =>
      template.render([chat[1]!], { addGenerationPrompt: true, continuesFinal: false, variables: {} });
    expect(render).toThrow(ChatTemplateError);
    expect(render).toThrow(/^Roles must take turns$/);
  });

  it.each([
    ['an operation that is none', '{{ messages[0].content + none }}'],
    ['a filter that is none', '{{ messages[0].content | shout }}'],
    ['a loop over a number', '{% for word in mood %}{% endfor %}'],
    ['a function that is none', "{{ raise_error('x') }}"],
  ])('with %s fails without the library’s words', (_what, source) => {
    const rendering = { addGenerationPrompt: true, continuesFinal: false, variables: { mood: 7 } };
    expect(() => new ChatTemplate(source).render(chat, rendering)).toThrow(
      /^it fails on them or on `chat_template_kwargs`$/,
    );
  });

  it('is given variables, which are none of its own', () => {
    const template = new ChatTemplate('{{ mood }}{{ messages[0].content }}');
    const variables = { mood: 'calm ', messages: 'no' };
    const rendering = { addGenerationPrompt: true, continuesFinal: false, variables };
    expect(template.render(chat, rendering)).toBe('calm  Who is he? ');
  });
});

describe('the parts of a message', () => {
  const part = (text: string) => ({ type: 'text' as const, text });
  const parts = [part('Who is '), part('he?')];
  const turns = [
    { role: 'system', content: [part('Be '), part('brief.')] },
    { role: 'user', content: parts },
    { role: 'assistant', content: 'A proud man.' },
  ];
  /** Modelled on Gemma's, which only reads the first part of the system message. */
  const gemma = `{%- if messages[0]['content'] is string -%}
    {%- set prefix = messages[0]['content'] + ' ' -%}
{%- else -%}
    {%- set prefix = messages[0]['content'][0]['text'] + ' ' -%}
{%- endif -%}
{%- for message in messages[1:] -%}
    {{ '<turn>' + (prefix if loop.first else '') }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endfor -%}`;

  it.each([
    [
      'texts',
      '{% for m in messages %}[{{ m.content }}]{% endfor %}',
      '[Be brief.][Who is he?][A proud man.]',
    ],
    ['either, as Gemma’s', gemma, '<turn>Be brief. Who ishe?<turn>A proud man.'],
    [
      'either, through a macro',
      '{% macro write(content) %}{% if content is string %}{{ content }}{% else %}{% for p in content %}({{ p.text }}){% endfor %}{% endif %}{% endmacro %}{% for m in messages %}[{{ write(m.content) }}]{% endfor %}',
      '[Be brief.][(Who is )(he?)][A proud man.]',
    ],
    [
      'parts alone',
      "{% for m in messages %}[{% for content in m['content'] | selectattr('type', 'equalto', 'text') %}({{ content['text'] }}){% endfor %}]{% endfor %}",
      '[(Be brief.)][(Who is )(he?)][(A proud man.)]',
    ],
    [
      'the words of a text',
      "{% for m in messages %}[{% for word in m.content.split(' ') %}{{ word }},{% endfor %}]{% endfor %}",
      '[Be,brief.,][Who,is,he?,][A,proud,man.,]',
    ],
  ])('come as a template that reads %s takes them', (_form, source, text) => {
    const rendering = { addGenerationPrompt: false, continuesFinal: false, variables: {} };
    expect(new ChatTemplate(source).render(turns, rendering)).toBe(text);
  });
});
