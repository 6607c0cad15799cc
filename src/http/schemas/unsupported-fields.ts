import { unsupported } from './field.ts';

/** What other servers of this API take and this one does not: refused by name, so that nothing is ignored in silence. */
export const unsupportedFields = {
  best_of: unsupported([null, 1], 'choices are not ranked; ask for `n` and choose'),
  echo: unsupported([null, false], 'an encoder-decoder model has no scores for its prompt to repeat'),
  suffix: unsupported([null], 'the models served do not fill in the middle'),
  prompt_logprobs: unsupported([null], 'an encoder-decoder model gives no probabilities for its prompt'),
  use_beam_search: unsupported([null, false], 'there is no beam search'),
  length_penalty: unsupported([null, 1], 'it belongs to beam search, which there is none of'),
  early_stopping: unsupported([null, false], 'it belongs to beam search, which there is none of'),
  typical_p: unsupported([null, 1], 'typical sampling is not offered; see `top_p` and `min_p`'),
  spaces_between_special_tokens: unsupported([null, true], 'the text is that of the tokens as they are'),
  truncate_prompt_tokens: unsupported(
    [null],
    'a prompt that is too long is refused, not cut; cut it with /tokenize',
  ),
  add_special_tokens: unsupported([null, true], 'send token ids for a prompt without them'),
  allowed_token_ids: unsupported([null], 'use `logit_bias`'),
  bad_words: unsupported([null], 'use `logit_bias` with -100'),
  guided_json: unsupported([null], 'there is no structured output'),
  guided_regex: unsupported([null], 'there is no structured output'),
  guided_choice: unsupported([null], 'there is no structured output'),
  guided_grammar: unsupported([null], 'there is no structured output'),
  structured_outputs: unsupported([null], 'there is no structured output'),
  response_format: unsupported([null], 'there is no structured output'),
  prompt_embeds: unsupported([null], 'prompts are text or token ids'),
  priority: unsupported([null, 0], 'all requests are equal'),
  request_id: unsupported([null], 'send the header X-Request-Id'),
  return_token_ids: unsupported([null, false], 'send the text to /tokenize'),
  return_tokens_as_token_ids: unsupported([null, false], 'send the text to /tokenize'),
};
