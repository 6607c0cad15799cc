/** A JSON schema, as JSON. Unless strict, keywords that no grammar can enforce are left out. */
export interface SchemaSource {
  json: string;
  isStrict?: boolean;
}

/** The structure that a generated text must follow. */
export type GrammarSource =
  | SchemaSource
  /** In Rust's regex syntax. */
  | { regex: string }
  /** One of these texts. */
  | { choice: readonly string[] }
  /** In llguidance's Lark variant. With a trigger, the text is free until it contains, or begins with, that. */
  | { lark: string; trigger?: string; isAtStart?: boolean };

/** A source compiled for a model. It lives as long as something references it. */
export interface Grammar {
  /** Identifies it on every thread. */
  readonly id: number;
}

/** A source that cannot be compiled; the message says why, worded for clients. */
export class GrammarError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'GrammarError';
  }
}

/** Who requests a grammar. */
export interface GrammarAsker {
  /** Clients share the compiler fairly; the empty string if clients are not distinguished. */
  client: string;
  /** Aborted when the grammar is no longer wanted. */
  signal: AbortSignal;
}

/**
 * Compiles a source for the named model, off the calling thread.
 * @throws GrammarError
 * @throws the signal's reason once it is aborted
 * @throws Error that refuses the request when too much is waiting to be compiled
 */
export type CompileGrammar = (model: string, source: GrammarSource, asker: GrammarAsker) => Promise<Grammar>;
