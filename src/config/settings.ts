import Type from 'typebox';

/** What a setting's schema contains next to its type. */
type SettingOptions = {
  description: string;
  default?: unknown;
  /** Values that other installations may accept; refused here, with the reason. */
  unavailable?: Record<string, string>;
  /** Never printed, and not taken from the command line, which every user of the machine can read. */
  secret?: boolean;
};

const text = (options: SettingOptions & { default: string }) => Type.String({ minLength: 1, ...options });
const optionalText = (options: SettingOptions) => Type.Optional(Type.String({ minLength: 1, ...options }));
const whole = (minimum: number, maximum: number, options: SettingOptions & { default: number }) =>
  Type.Integer({ minimum, maximum, ...options });
const oneOf = <T extends string>(values: readonly T[], options: SettingOptions & { default: T }) =>
  Type.Unsafe<T>({ type: 'string', enum: values, ...options });
const flag = (options: SettingOptions & { default: boolean }) => Type.Boolean(options);

const day = 24 * 60 * 60 * 1000;

/**
 * All settings: `queueTimeoutMs` is read from `ALTUP_QUEUE_TIMEOUT_MS` and `--queue-timeout-ms`.
 * docs/configuration.md repeats this table; a test compares them.
 */
const settings = {
  models: text({
    default: 'models',
    description:
      'Folder of model folders, a single model folder, a model of the Hugging Face hub (`google/gemma-3n-E2B-it`, with `@` and a revision if need be), or several of these separated by commas.',
  }),
  host: text({
    default: '127.0.0.1',
    description:
      'Address to listen on. `::` takes connections from other machines over IPv4 and IPv6, which a container needs; without IPv6 it means `0.0.0.0`.',
  }),
  port: whole(0, 65535, { default: 8080, description: 'Port to listen on; 0 takes a free one.' }),
  backend: oneOf(['auto', 'native', 'onnxruntime-node'], {
    default: 'auto',
    description:
      'What runs the graphs: the native addon or, slower, the stock onnxruntime-node; `auto` is `native` where the addon is built.',
  }),
  executionProvider: oneOf(['auto', 'cpu', 'cuda', 'tensorrt', 'webgpu'], {
    default: 'auto',
    description:
      'What ONNX Runtime computes on; `auto` is `cuda` where that works and every precision is `fp16`, else `cpu`.',
  }),
  precision: text({
    default: 'fp32',
    description:
      'Number format of the weights: `fp32`, `fp16`, `int8` or `int4`. Of several, separated by commas, a model is loaded in each; the first is what its plain name stands for, the others are `<model>:<precision>`.',
  }),
  threads: whole(0, 1024, {
    default: 0,
    description:
      'Threads one graph run uses; 0 takes as many as the container’s CPU quota, or the machine, allows.',
  }),
  slots: whole(1, 1024, {
    default: 16,
    description: 'Sequences of one model that generate at the same time; memory for all is taken at start.',
  }),
  context: whole(16, 1_048_576, {
    default: 2048,
    description: 'Upper bound on the tokens of a sequence; a model good for fewer keeps its own limit.',
  }),
  stepTokens: whole(3, 1_048_576, {
    default: 512,
    description:
      'Most tokens one step computes: a token for each running sequence, the rest for new prompts.',
  }),
  prefillChunk: whole(3, 1_048_576, {
    default: 256,
    description:
      'Most prompt tokens computed at a time, which is how long running sequences may stall for a new prompt.',
  }),
  maxQueuedRequests: whole(1, 1_000_000, {
    default: 256,
    description: 'Most sequences that wait for a slot; more are refused with 429.',
  }),
  maxQueuedTokens: whole(1, 1_000_000_000, {
    default: 65_536,
    description: 'Most prompt tokens that wait for a slot; more are refused with 429.',
  }),
  clientQueueShare: whole(1, 100, {
    default: 75,
    description:
      'Most of the queue, in percent of its sequences and of its prompt tokens, that one API key, or without keys one address, may hold; less while others wait.',
  }),
  queueTimeoutMs: whole(1, day, {
    default: 30_000,
    description: 'Longest wait for a slot, in milliseconds; then 504.',
  }),
  requestTimeoutMs: whole(1, day, {
    default: 300_000,
    description: 'Longest life of a request, waiting included, in milliseconds; then 504.',
  }),
  drainTimeoutMs: whole(0, day, {
    default: 30_000,
    description: 'How long running requests may go on after a stop signal, in milliseconds.',
  }),
  bodyLimit: whole(1024, 1_073_741_824, {
    default: 1_048_576,
    description: 'Largest request body, in bytes; larger ones are refused with 413.',
  }),
  apiKeys: optionalText({
    secret: true,
    description:
      'API keys, separated by commas; clients send one as `Authorization: Bearer <key>`. None: no check.',
  }),
  apiKeysFile: optionalText({
    description:
      'File with one API key a line, added to those above, each with a name behind it if you like: `<key> <name>`. Empty lines and lines that begin with `#` are skipped. Read again when it changes.',
  }),
  urgentKeys: optionalText({
    description:
      'Names of the API keys, separated by commas, whose requests may have a `priority` below 0; `*`: every client. None: nobody’s.',
  }),
  rateLimit: optionalText({
    description:
      'What each API key, or without keys each address, may ask: requests per second, minute or hour, sequences at a time, or both, as `120/minute, 16 concurrent`. More are refused with 429.',
  }),
  trustedProxies: optionalText({
    description:
      'Proxies whose `X-Forwarded-For` is believed: addresses, prefixes such as `10.0.0.0/8`, or `loopback`, `linklocal`, `uniquelocal`, separated by commas. None: a client has the address it connects from.',
  }),
  allowedHosts: optionalText({
    description:
      'Host names, separated by commas, that requests may be sent to: `api.example.com`, `*.example.com` or `*`; addresses and `localhost` always may. None: every name, except on a loopback address without API keys, where only those may.',
  }),
  streamBuffer: whole(1024, 1_073_741_824, {
    default: 1_048_576,
    description:
      'Most bytes of a stream that wait for its client to read them; a client that is slower is cut off.',
  }),
  otelEndpoint: optionalText({
    description:
      'Base URL of an OpenTelemetry collector that takes OTLP over HTTP, as `http://localhost:4318`; traces go to `/v1/traces` there. None: no traces.',
  }),
  logLevel: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'Least severe level that is logged.',
  }),
  strict: flag({
    default: false,
    description: 'Stop at start when any model cannot be served, instead of serving the others.',
  }),
};

export type SettingName = keyof typeof settings;
export type Settings = Type.Static<Type.TObject<typeof settings>>;

/** A setting's schema as plain JSON Schema with the options above. */
export type SettingSchema = Type.TSchema &
  SettingOptions & {
    type: 'string' | 'integer' | 'boolean';
    enum?: readonly string[];
    minimum?: number;
    maximum?: number;
  };

export const settingNames = Object.keys(settings) as SettingName[];
export const settingSchema = (name: SettingName): SettingSchema => settings[name] as unknown as SettingSchema;

const words = (name: string) => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).split(' ');
export const environmentName = (name: SettingName): string => `ALTUP_${words(name).join('_').toUpperCase()}`;
/** null when the command line must not show the value. */
export const flagName = (name: SettingName): string | null =>
  settingSchema(name).secret ? null : `--${words(name).join('-')}`;
