/** @import { ApiError } from '../api/api-error.js' */

/**
 * What the page calls the API's fields.
 *
 * @type {Record<string, string>}
 */
const labels = {
  max_tokens: 'Max tokens',
  max_completion_tokens: 'Max tokens',
  temperature: 'Temperature',
  top_p: 'Top p',
  top_k: 'Top k',
  min_p: 'Min p',
  seed: 'Seed',
  repetition_penalty: 'Repetition penalty',
  stop: 'Stop texts',
  response_format: 'JSON schema',
  prompt: 'The prompt',
  completion_prefix: 'The text',
  messages: 'The chat',
};

/** The name of a field, or of the field that it is in. @param {string} param */
const nameOf = (param) => param.split(/[.[]/)[0] ?? param;

/** @type {Record<string, string>} */
const headlines = {
  unauthorized: 'The service needs an API key.',
  model_not_found: 'This model is no longer served.',
  host_not_allowed: 'The service does not know the name by which this page was opened.',
  payload_too_large: 'The text is too long to send.',
  rate_limited: 'You have reached your limit of requests.',
  queue_full: 'The service is busy.',
  compiler_busy: 'The service is busy with the schemas of others.',
  not_ready: 'This model is not ready.',
  shutting_down: 'The service is about to stop.',
  deadline_exceeded: 'The answer took too long.',
  engine_failure: 'The model failed while it wrote.',
  text_failure: 'The model could not read this text.',
  unreachable: 'The service does not answer.',
  cut_off: 'The connection broke before the answer was complete.',
  unreachable_server: 'That server cannot be reached from this page.',
  server_address: 'This is not the address of a server.',
  foreign_answer: 'Something else than the service answers here.',
  unfit_key: 'The API key has characters that cannot be sent.',
  not_json: 'The JSON schema is not JSON.',
  needs_context: 'This model needs a context.',
  needs_text: 'There is no text to measure.',
  bad_file: 'This file has no prompts.',
};

/**
 * What happened, in the words of the page.
 *
 * @param {ApiError} error
 * @returns {string}
 */
export function headline({ code, param, message }) {
  const own = headlines[code];
  if (own) return own;
  if (code !== 'invalid_request' || !param) return 'Something went wrong.';
  if (param === 'model' && message.includes('chat template'))
    return 'This model has no chat template, so it cannot chat.';
  if (/exceed|takes at most/.test(message)) {
    if (param === 'messages') return 'The chat is longer than this model can read.';
    return `${labels[nameOf(param)] ?? param}: more than this model has room for.`;
  }
  const label = labels[nameOf(param)];
  if (!label) return 'The service cannot do this.';
  const quoted = `\`${param}\` `;
  return message.startsWith(quoted)
    ? `${label} ${message.slice(quoted.length).replace(' or null', '').replaceAll('`', '')}`
    : `${label} cannot be used as it is.`;
}

/** @param {number | null} seconds */
const later = (seconds) => (seconds === null ? 'in a moment' : `in ${seconds} s`);

/**
 * What to do about an error.
 *
 * @param {ApiError} error
 * @returns {string}
 */
export function remedy({ code, param, message, retryAfterSeconds }) {
  switch (code) {
    case 'invalid_request':
      if (param === 'messages') return 'Start a new chat, edit an earlier message, or ask for fewer tokens.';
      if (param === 'model') return 'Choose Completion, or another model.';
      return param
        ? `Change ${labels[nameOf(param)] ?? param} and try again.`
        : 'Change the request and try again.';
    case 'unauthorized':
      return 'Enter one under Settings, “Key and servers”.';
    case 'model_not_found':
      return 'Choose another model; the list was read again.';
    case 'host_not_allowed':
      return 'Open this page by the service’s address, or add this name to ALTUP_ALLOWED_HOSTS.';
    case 'payload_too_large':
      return 'Shorten it.';
    case 'rate_limited':
    case 'queue_full':
    case 'compiler_busy':
      return `Try again ${later(retryAfterSeconds)}.`;
    case 'not_ready':
      return `Try again ${later(retryAfterSeconds)}, or choose a model that is ready.`;
    case 'shutting_down':
      return 'Try again when the service is back.';
    case 'deadline_exceeded':
      return 'Ask for fewer tokens, or try again when the service is less busy.';
    case 'unreachable':
    case 'cut_off':
      return 'Check that the service is running, then try again.';
    case 'unreachable_server':
      return 'Check that it runs, that this service names its origin in ALTUP_PLAYGROUND_ORIGINS, and that it allows this page’s origin (CORS).';
    case 'server_address':
      return 'Enter one such as http://127.0.0.1:8000/v1.';
    case 'unfit_key':
      return 'Enter the key again.';
    case 'not_json':
      return `Change it and try again: ${message}`;
    case 'needs_context':
      return 'It reads the context with its encoder and writes the text with its decoder. Enter a context.';
    case 'needs_text':
      return 'Enter a text of at least two words.';
    case 'bad_file':
      return 'Choose a text with one prompt a line, or JSON: a list of texts, or of objects with a “prompt”.';
    default:
      return 'Try again. If it fails again, look for the request id in the service’s log.';
  }
}
