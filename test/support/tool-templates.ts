/** A chat template that writes calls as Qwen's does: JSON between tags. */
export const taggingTemplate = `{% if tools %}<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}
{% endif %}<tools>{% for tool in tools %}{{ '\\n' }}{{ tool | tojson }}{% endfor %}{{ '\\n' }}</tools><|im_end|>
{% endif %}{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>user
<tool_response>
{{ m.content }}
</tool_response><|im_end|>
{% elif m.role != 'system' or not tools %}<|im_start|>{{ m.role }}
{{ m.content }}{% if m.tool_calls %}{% for c in m.tool_calls %}{% if not loop.first or m.content %}{{ '\\n' }}{% endif %}<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endif %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/** A chat template that writes calls as FunctionGemma's does: control tokens around names and values. */
export const escapingTemplate = `{% macro value(v) %}{% if v is string %}<escape>{{ v }}<escape>{% else %}{{ v | tojson }}{% endif %}{% endmacro %}{% if tools %}<start_of_turn>developer
{% for t in tools %}<start_function_declaration>declaration:{{ t.function.name }}<end_function_declaration>{% endfor %}<end_of_turn>
{% endif %}{% for m in messages %}{% if m.role == 'tool' %}<start_function_response>response:{{ m.name }}{value:{{ value(m.content) }}}<end_function_response>{% else %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}
{{ m.content }}{% if m.tool_calls %}{% for c in m.tool_calls %}<start_function_call>call:{{ c.function.name }}{{ '{' }}{% for k, v in c.function.arguments | dictsort %}{% if not loop.first %},{% endif %}{{ k }}:{{ value(v) }}{% endfor %}{{ '}' }}<end_function_call>{% endfor %}{% endif %}<end_of_turn>
{% endif %}{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}`;

/** A chat template that writes calls as Mistral 7B's does: one list of JSON, with ids of 9 letters and digits. */
export const listingTemplate = `{% if tools %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]{% elif m.tool_calls %}[TOOL_CALLS] [{% for c in m.tool_calls %}{% set out = c.function | tojson %}{{ out[:-1] }}{% if c.id | length != 9 %}{{ raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{% endif %}{{ ', "id": "' + c.id + '"}' }}{% if not loop.last %}, {% else %}]</s>{% endif %}{% endfor %}{% elif m.role == 'tool' %}{% if m.tool_call_id | length != 9 %}{{ raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{% endif %}[TOOL_RESULTS] {"content": {{ m.content }}, "call_id": "{{ m.tool_call_id }}"}[/TOOL_RESULTS]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}`;
