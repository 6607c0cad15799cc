/** No token can be chosen: the message says why, in words fit for clients. */
export class SamplingError extends Error {}

/** The model's logits are no numbers a token can be chosen by. */
export class NonFiniteLogitsError extends SamplingError {
  constructor(token: number, value: number) {
    super(`The model computed a logit of ${value} for token ${token}.`);
    this.name = 'NonFiniteLogitsError';
  }
}

/** A request rules out every token at once. */
export class NoTokenAllowedError extends SamplingError {
  constructor() {
    super(
      'The request’s `allowed_token_ids`, `bad_words`, `min_tokens` and structure together leave no token to come next.',
    );
    this.name = 'NoTokenAllowedError';
  }
}

/** A completion's grammar has become too much, or the session has none. */
export class GrammarFaultError extends SamplingError {
  constructor(reason: string) {
    super(`The completion cannot be kept to its structure: ${reason}`);
    this.name = 'GrammarFaultError';
  }
}
