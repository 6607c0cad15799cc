/** What a text must be like, whatever the model would rather say. */
export type GrammarSource =
  /** A JSON schema, as JSON. */
  | { json: string }
  /** In the syntax of Rust's regex. */
  | { regex: string }
  /** One of these texts. */
  | { choice: readonly string[] }
  /** In llguidance's variant of Lark. */
  | { lark: string };

/** A source compiled for a model. It lives as long as somebody holds it. */
export interface Grammar {
  /** Names it on every thread. */
  readonly id: number;
}

/** A source that cannot be compiled: the message says why, in words fit for clients. */
export class GrammarError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'GrammarError';
  }
}

/** Who wants a grammar. */
export interface GrammarAsker {
  /** Compiling is shared out among clients; the empty string where they are not told apart. */
  client: string;
  /** Aborted when the grammar is not wanted any more. */
  signal: AbortSignal;
}

/**
 * Compiles a source for the model of that name, off the calling thread.
 * @throws GrammarError
 * @throws the signal's reason once it is aborted
 * @throws Error that is a refusal when too much is to be compiled
 */
export type CompileGrammar = (model: string, source: GrammarSource, asker: GrammarAsker) => Promise<Grammar>;
