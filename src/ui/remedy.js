/** @import { ApiError } from './api-error.js' */

/** @param {number | null} seconds */
const later = (seconds) => (seconds === null ? 'in a moment' : `in ${seconds} s`);

/**
 * What to do about an error, in addition to its own message.
 *
 * @param {ApiError} error
 * @returns {string}
 */
export function remedy({ code, param, retryAfterSeconds }) {
  switch (code) {
    case 'invalid_request':
      return param ? `Change ${param} and try again.` : 'Change the request and try again.';
    case 'unauthorized':
      return 'Enter an API key of this service in the field at the top.';
    case 'model_not_found':
      return 'Choose another model; the list was refreshed.';
    case 'host_not_allowed':
      return 'Open this page by the service’s address, or add this name to ALTUP_ALLOWED_HOSTS.';
    case 'payload_too_large':
      return 'Shorten the prompt.';
    case 'rate_limited':
    case 'queue_full':
    case 'compiler_busy':
      return `Too much at once: try again ${later(retryAfterSeconds)}.`;
    case 'not_ready':
      return `Try again ${later(retryAfterSeconds)}, or choose a model that is ready.`;
    case 'shutting_down':
      return 'Try again when the service is back.';
    case 'deadline_exceeded':
      return 'Ask for fewer tokens, or try again when the service is less busy.';
    case 'unreachable':
      return 'Check that the service is running, then try again.';
    case 'unfit_key':
      return 'Enter the key again.';
    default:
      return 'Try again. If it fails again, look for the request id in the service’s log.';
  }
}
