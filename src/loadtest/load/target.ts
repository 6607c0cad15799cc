/** A server and one of its models. */
export interface Target {
  /** Without /v1. */
  url: string;
  /** As requests name it. */
  model: string;
  /** In reports. */
  label: string;
  isBaseline: boolean;
}

/** What all requests of a run have in common. */
export interface RequestOptions {
  endpoint: 'completions' | 'chat';
  temperature: number;
  /** Further fields of every body. */
  fields: Record<string, unknown>;
  timeoutMs: number;
  /** Sent as a bearer token; never printed. */
  apiKey: string | null;
}
