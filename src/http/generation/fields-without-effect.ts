import { unsupported, unused } from '../schema-field.ts';

const noBeams = 'it only applies to beam search';
const newerName = 'send `structured_outputs`';
const noFunctions = 'send `tools`';
const noMedia = 'the served models read and write only text';
const noReasoning = 'the served models do not separate reasoning from the answer';
const noTransfer = 'the service does not pass caches between servers';
const noCacheControl = 'the service reuses cached prompts by itself';
const noSpaces = 'the service writes JSON without optional whitespace';
const oneCompiler = 'the service has only one grammar compiler';
const noStore = 'nothing is stored';
const noBuiltIns = 'the service has no tools of its own';
const onlyContent = 'the model reads only the content';

const anyNull = [null];

/**
 * Fields that clients of this API send to other servers and that have no effect here. A value that changes nothing is
 * accepted and any other refused with the reason, so nothing is ignored silently. docs/api.md has these tables.
 */
export const withoutEffect = {
  user: unused('string', 'the API key tells clients apart'),
  safety_identifier: unused('string', 'the API key tells clients apart'),
  prompt_cache_key: unused('string', noCacheControl),
  prompt_cache_retention: unused('string', noCacheControl),
  prompt_cache_options: unused('object', noCacheControl),
  session_id: unused('string', noCacheControl),
  service_tier: unsupported([null, 'auto', 'default'], 'there is only one tier; see `priority`'),
  moderation: unsupported(anyNull, 'the service does not moderate'),

  use_beam_search: unsupported([null, false], 'the service has no beam search'),
  length_penalty: unsupported([null, 1], noBeams),
  early_stopping: unsupported([null, false], noBeams),
  typical_p: unsupported([null, 1], 'see `top_p` and `min_p`'),
  detokenize: unsupported([null, true], 'send `return_token_ids` to also get token ids'),
  spaces_between_special_tokens: unsupported([null, true], 'the text is exactly what the tokens decode to'),
  truncation_side: unsupported([null, 'left'], 'the service keeps the last tokens of a prompt'),
  return_tokens_as_token_ids: unsupported([null, false], 'send `return_token_ids`'),
  logprob_token_ids: unsupported(anyNull, 'the service reports only the most likely tokens'),
  logits_processors: unsupported([null, []], 'see `logit_bias`, `allowed_token_ids` and `bad_words`'),
  repetition_detection: unsupported(anyNull, 'see `repetition_penalty` and `stop`'),
  watermarking: unsupported([null, false], 'the service does not watermark text'),
  thinking_token_budget: unsupported([null, -1], noReasoning),
  stream_interval: unsupported([null, 1], 'the service sends each token as it comes'),
  guided_json: unsupported(anyNull, newerName),
  guided_regex: unsupported(anyNull, newerName),
  guided_choice: unsupported(anyNull, newerName),
  guided_grammar: unsupported(anyNull, newerName),
  guided_decoding_backend: unused('string', oneCompiler),
  guided_whitespace_pattern: unsupported(anyNull, noSpaces),
  kv_transfer_params: unsupported(anyNull, noTransfer),
  ec_transfer_params: unsupported(anyNull, noTransfer),
  vllm_xargs: unsupported([null, {}], 'the service has no extensions'),
};

const withoutStore = {
  metadata: unused('object', noStore),
  store: unsupported([null, false], noStore),
};

export const withoutEffectInCompletions = {
  ...withoutEffect,
  ...withoutStore,
  suffix: unsupported([null, ''], 'the served models do not fill in the middle'),
  prompt_embeds: unsupported([null, []], 'prompts are text or token ids'),
};

export const withoutEffectInChat = {
  ...withoutEffect,
  ...withoutStore,
  // Functions are accepted if none may be called (chat/chat-route.ts).
  functions: unsupported<unknown[] | null>([null, []], noFunctions, {
    type: 'array',
    words: 'any with `"function_call": "none"`',
  }),
  function_call: unsupported([null, 'none', 'auto'], 'send `tool_choice`'),
  modalities: unsupported([null, ['text']], noMedia),
  audio: unsupported(anyNull, noMedia),
  mm_processor_kwargs: unsupported([null, {}], noMedia),
  media_io_kwargs: unsupported([null, {}], noMedia),
  prediction: unused('object', 'it would only speed up the answer'),
  web_search_options: unsupported(anyNull, 'the service does not search the web'),
  documents: unsupported([null, []], 'put documents into a message'),
  reasoning_effort: unsupported([null, 'none'], noReasoning),
  include_reasoning: unused('boolean', noReasoning),
  verbosity: unsupported([null, 'medium'], 'ask for a short or long answer in a message'),
  chat_template: unsupported(anyNull, 'the template comes with the model: chat_template.jinja in its folder'),
  prompt_logprobs: unsupported(anyNull, 'send the prompt’s tokens to /v1/completions'),
  return_prompt_text: unsupported(
    [null, false],
    'send `return_token_ids` and decode the ids with /detokenize',
  ),
  echo: unsupported([null, false], 'send the prompt’s tokens to /v1/completions'),
  best_of: unsupported([null, 1], 'request `n` choices and pick one'),
};

export const withoutEffectInResponses = {
  ...withoutEffect,
  conversation: unsupported(anyNull, 'send the earlier items in `input`, or `previous_response_id`'),
  prompt: unsupported(anyNull, 'send the prompt itself, as `instructions` and `input`'),
  background: unsupported([null, false], 'work ends with its connection; see `stream`'),
  background_options: unsupported(anyNull, 'work ends with its connection; see `stream`'),
  truncation: unsupported(
    [null, 'disabled'],
    'the service drops no items; `truncate_prompt_tokens` cuts the prompt’s beginning off',
  ),
  context_management: unsupported([null, []], 'the service does not shorten a conversation'),
  max_tool_calls: unused('integer', `it counts calls of built-in tools: ${noBuiltIns}`),
  image: unsupported([null, {}], noMedia),
  access_programs: unsupported([null, {}], 'the service has none'),
};

/** In `text` of responses. */
export const withoutEffectInText = {
  verbosity: unsupported([null, 'medium'], 'ask for a short or long answer in a message'),
};

/** In `reasoning` of responses. */
export const withoutEffectInReasoning = {
  effort: unsupported([null, 'none'], noReasoning),
  summary: unused('string', noReasoning),
  generate_summary: unused('string', noReasoning),
  context: unused('string', noReasoning),
  mode: unsupported([null, 'standard'], noReasoning),
};

/** In items of `input`, mostly in those of an answer that clients send back. */
export const withoutEffectInItems = {
  id: unused('string', 'only an `item_reference` needs it'),
  status: unused('string', onlyContent),
  phase: unused('string', onlyContent),
  created_by: unused('string', onlyContent),
  caller: unused('object', onlyContent),
  namespace: unsupported(anyNull, 'functions have no namespaces'),
  async: unsupported([null, false], 'calls wait for their results'),
  parsed_arguments: unused(undefined, '`arguments` holds the same'),
  summary: unsupported([null, []], noReasoning),
  encrypted_content: unsupported([null, ''], noReasoning),
};

/** In parts of the contents of items. */
export const withoutEffectInItemParts = {
  annotations: unused(undefined, 'the model reads only the text'),
  logprobs: unused(undefined, 'the model reads only the text'),
  parsed: unused(undefined, '`text` holds the same'),
  cache_control: unused(undefined, noCacheControl),
  prompt_cache_breakpoint: unused(undefined, noCacheControl),
};

/** In tools of responses. */
export const withoutEffectInFunctions = {
  allowed_callers: unsupported([null, ['direct']], noBuiltIns),
  async: unsupported([null, false], 'calls wait for their results'),
  defer_loading: unsupported([null, false], 'the model sees every function from the start'),
  output_schema: unused('object', 'the model reads results as they are'),
  cache_control: unused(undefined, noCacheControl),
};

export const withoutEffectInStreamOptions = {
  include_obfuscation: unsupported([null, false], 'chunks are not padded'),
};

export const withoutEffectInStructuredOutputs = {
  disable_any_whitespace: unused('boolean', noSpaces),
  whitespace_pattern: unsupported(anyNull, noSpaces),
  disable_fallback: unused('boolean', oneCompiler),
  structural_tag: unsupported(anyNull, 'write a `grammar`'),
};

/** In messages, mostly in assistant messages that clients send back. */
export const withoutEffectInMessages = {
  refusal: unsupported([null, ''], noMedia),
  annotations: unsupported([null, []], noMedia),
  audio: unsupported(anyNull, noMedia),
  function_call: unsupported(anyNull, 'send `tool_calls`'),
  reasoning: unsupported([null, ''], noReasoning),
  reasoning_content: unsupported([null, ''], noReasoning),
  thinking_blocks: unsupported([null, []], noReasoning),
  parsed: unused(undefined, '`content` holds the same'),
  provider_specific_fields: unused('object', onlyContent),
  cache_control: unused('object', noCacheControl),
};

/** In message parts of type `text`. */
export const withoutEffectInParts = {
  annotations: unused(undefined, 'the model reads only the text'),
  cache_control: unused(undefined, noCacheControl),
  prompt_cache_breakpoint: unused(undefined, noCacheControl),
};

/** In tools. */
export const withoutEffectInTools = {
  cache_control: unused(undefined, noCacheControl),
};

/** In calls that clients send back, and in their functions. */
export const withoutEffectInCalls = {
  index: unused('integer', 'calls keep their order'),
  parsed_arguments: unused(undefined, '`arguments` holds the same'),
  provider_specific_fields: unused('object', 'the model reads only the name and the arguments'),
};
