/** A server and one of its models. */
export interface Target {
  /** Without /v1 and without a slash at the end. */
  url: string;
  /** Name of the model in requests. */
  model: string;
  /** Name in reports. */
  label: string;
  isBaseline: boolean;
}

/** Options shared by all requests of a run. */
export interface RequestOptions {
  endpoint: 'completions' | 'chat';
  temperature: number;
  /** Additional fields of every body. */
  fields: Record<string, unknown>;
  timeoutMs: number;
  /** Sent as a bearer token; never printed. */
  apiKey: string | null;
}
