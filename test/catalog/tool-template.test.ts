import { describe, expect, it } from 'vitest';
import { ChatTemplate } from '../../src/catalog/tokenizer/chat-template.ts';
import { toolTemplate } from '../../src/catalog/tokenizer/tool-template.ts';
import { escapingTemplate, listingTemplate, taggingTemplate } from '../support/tool-templates.ts';

const learned = (source: string) => toolTemplate(new ChatTemplate(source));

describe('the form in which a template writes calls', () => {
  it('is tags around JSON, as Qwen’s', () => {
    expect(learned(taggingTemplate)).toEqual({
      form: {
        open: '<tool_call>\n{"name": "',
        middle: '", "arguments": ',
        between: '}\n</tool_call>\n<tool_call>\n{"name": "',
        close: '}\n</tool_call>',
        style: 'json',
        separators: { item: ', ', key: ': ' },
      },
      takesTextArguments: true,
      needsShortIds: false,
      takesSystem: true,
    });
  });

  it('is one list of JSON, as Mistral’s, whose ids have 9 letters and belong to the history alone', () => {
    expect(learned(listingTemplate)).toMatchObject({
      form: {
        open: '[TOOL_CALLS] [{"name": "',
        middle: '", "arguments": ',
        between: '}, {"name": "',
        close: '}]',
      },
      needsShortIds: true,
    });
  });

  it('is a name and JSON, as Mistral’s newer one', () => {
    const template = `{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]{% else %}{{ m.content }}{% for c in m.tool_calls or [] %}[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}</s>{% endif %}{% endfor %}`;
    expect(learned(template).form).toMatchObject({
      open: '[TOOL_CALLS]',
      middle: '[ARGS]',
      between: '[TOOL_CALLS]',
      close: '',
    });
  });

  it('is control tokens, as FunctionGemma’s', () => {
    expect(learned(escapingTemplate).form).toMatchObject({
      open: '<start_function_call>call:',
      middle: '{',
      between: '}<end_function_call><start_function_call>call:',
      close: '}<end_function_call>',
      style: 'escaped',
    });
    expect(learned(escapingTemplate)).toMatchObject({ takesTextArguments: false });
  });

  it('allows one call if the template refuses several', () => {
    const template = taggingTemplate.replace(
      '{% for c in m.tool_calls %}',
      "{% for c in m.tool_calls %}{% if not loop.first %}{{ raise_exception('one') }}{% endif %}",
    );
    expect(learned(template).form).toMatchObject({ between: null });
  });

  it.each([
    ['knows no tools', '{% for m in messages %}{{ m.content }};{% endfor %}', true],
    [
      'writes calls in an unknown form',
      '{{ tools | tojson if tools }}{% for m in messages %}{{ m.content }}{{ m.tool_calls[0].function.name if m.tool_calls }};{% endfor %}',
      true,
    ],
    [
      'takes no system message',
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ m.content }}{% endfor %}",
      false,
    ],
    [
      'drops system messages',
      "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}",
      false,
    ],
    ['fails', "{{ raise_exception('always') }}", false],
  ])('is none if the template %s', (_, template, takesSystem) => {
    expect(learned(template)).toEqual({
      form: null,
      takesTextArguments: false,
      needsShortIds: false,
      takesSystem,
    });
  });
});
