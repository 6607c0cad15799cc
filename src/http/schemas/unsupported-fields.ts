import { unsupported } from './field.ts';

const noBeams = 'it belongs to beam search, which there is none of';
const newerName = 'send `structured_outputs`';
const noTools = 'there are no tools; describe them in a message';
const noMedia = 'the models served read and write text alone';

/** What other servers of this API take and this one does not: refused by name, so that nothing is ignored in silence. */
const unsupportedFields = {
  use_beam_search: unsupported([null, false], 'there is no beam search'),
  length_penalty: unsupported([null, 1], noBeams),
  early_stopping: unsupported([null, false], noBeams),
  typical_p: unsupported([null, 1], 'typical sampling is not offered; see `top_p` and `min_p`'),
  spaces_between_special_tokens: unsupported([null, true], 'the text is that of the tokens as they are'),
  guided_json: unsupported([null], newerName),
  guided_regex: unsupported([null], newerName),
  guided_choice: unsupported([null], newerName),
  guided_grammar: unsupported([null], newerName),
  return_tokens_as_token_ids: unsupported([null, false], 'ask for `return_token_ids`'),
};

export const unsupportedInCompletions = {
  ...unsupportedFields,
  suffix: unsupported([null], 'the models served do not fill in the middle'),
  prompt_embeds: unsupported([null], 'prompts are text or token ids'),
};

export const unsupportedInChat = {
  ...unsupportedFields,
  tools: unsupported([null], noTools),
  tool_choice: unsupported([null, 'none'], noTools),
  parallel_tool_calls: unsupported([null, true, false], noTools),
  functions: unsupported([null], noTools),
  function_call: unsupported([null, 'none'], noTools),
  modalities: unsupported([null], noMedia),
  audio: unsupported([null], noMedia),
  prediction: unsupported([null], 'there is no predicted output'),
  web_search_options: unsupported([null], 'nothing is searched'),
  reasoning_effort: unsupported([null], 'the models served do not reason apart from their answer'),
  verbosity: unsupported([null], 'ask for it in a message'),
  store: unsupported([null, false], 'nothing is stored'),
  metadata: unsupported([null], 'nothing is stored'),
  service_tier: unsupported([null, 'auto', 'default'], 'there is one tier; see `priority`'),
  chat_template: unsupported([null], 'the template is the model’s own: chat_template.jinja in its folder'),
  prompt_logprobs: unsupported([null], 'ask /v1/completions with the prompt’s tokens'),
  echo: unsupported([null, false], 'ask /v1/completions with the prompt’s tokens'),
  best_of: unsupported([null, 1], 'ask for `n` and choose'),
};
