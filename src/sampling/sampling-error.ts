/** No token can be chosen; the message says why, worded for clients. */
export class SamplingError extends Error {}

/** The model computed a logit that is not finite. */
export class NonFiniteLogitsError extends SamplingError {
  constructor(token: number, value: number) {
    super(`The model computed a logit of ${value} for token ${token}.`);
    this.name = 'NonFiniteLogitsError';
  }
}

/** The request rules out every token. */
export class NoTokenAllowedError extends SamplingError {
  constructor() {
    super(
      'The request’s `allowed_token_ids`, `bad_words`, `min_tokens` and structure together leave no possible next token.',
    );
    this.name = 'NoTokenAllowedError';
  }
}

/** A completion's grammar exceeded its limits, or the session does not support grammars. */
export class GrammarFaultError extends SamplingError {
  constructor(reason: string) {
    super(`The completion cannot follow its structure: ${reason}`);
    this.name = 'GrammarFaultError';
  }
}
