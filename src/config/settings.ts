import Type from 'typebox';
import { providerNames } from '../runtime/execution-providers.ts';

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
      'Folder of model folders, a single model folder, a Hugging Face hub model (`google/gemma-3n-E2B-it`, optionally with `@` and a revision), or several of these, separated by commas.',
  }),
  memoryLimit: optionalText({
    description:
      'Maximum memory of the service’s process, such as `8GiB`. At start, models are loaded while they fit, in the order of `ALTUP_MODELS`; the others are loaded when they are asked for, and idle ones that nobody has used for longest are unloaded for them. Unset: all models are loaded at start and stay.',
  }),
  maxLoadedModels: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 100_000,
      description:
        'Maximum number of models in memory, with the same effect as `ALTUP_MEMORY_LIMIT`. Unset: no limit.',
    }),
  ),
  loadWaitMs: whole(0, day, {
    default: 20_000,
    description:
      'How long a request waits for its model to be loaded, in milliseconds; then 503 with `Retry-After`, while the load goes on. 0: not at all. Only with `ALTUP_MEMORY_LIMIT` or `ALTUP_MAX_LOADED_MODELS`; without them, requests never wait for a model.',
  }),
  host: text({
    default: '127.0.0.1',
    description:
      'Address to listen on. `::` accepts connections from other machines over IPv4 and IPv6, as a container needs; without IPv6 it means `0.0.0.0`.',
  }),
  port: whole(0, 65535, { default: 8080, description: 'Port to listen on; 0 picks a free one.' }),
  backend: oneOf(['auto', 'native', 'onnxruntime-node'], {
    default: 'auto',
    description:
      'Backend that runs the graphs: the native addon, or the slower stock onnxruntime-node. `auto` picks `native` if the addon is built.',
  }),
  executionProvider: oneOf(['auto', ...providerNames], {
    default: 'auto',
    description:
      'Execution provider of ONNX Runtime. `auto` picks `cuda` if it works and every precision is `fp16` or `bf16`, otherwise `cpu`.',
  }),
  precision: text({
    default: 'fp32',
    description:
      'Number format of the weights: `fp32`, `fp16`, `bf16`, `int8` or `int4`; `bf16` needs a GPU with CUDA or TensorRT. If you list several, separated by commas, each model is loaded in each of them: its plain name means the first, `<model>:<precision>` the others.',
  }),
  threads: whole(0, 1024, {
    default: 0,
    description:
      'Threads per graph run; 0 uses as many as the container’s CPU quota, or the machine, allows.',
  }),
  slots: whole(1, 1024, {
    default: 16,
    description: 'Maximum sequences that one model generates at the same time.',
  }),
  context: Type.Optional(
    Type.Integer({
      minimum: 16,
      maximum: 1_048_576,
      description:
        'Maximum tokens of a sequence; a model with a lower limit keeps its own. Unset: the model’s own limit, but at most 2048 where memory for all slots is allocated at start.',
    }),
  ),
  cacheMemory: optionalText({
    description:
      'Maximum memory for the keys and values of one model, such as `6GiB` or `800MiB`. Unset: enough for 2048 tokens in every slot and for one sequence of the maximum length, but at most 70 % of what is available when the model loads. Only where memory grows with use.',
  }),
  cachePrecision: oneOf(['export', 'int8'], {
    default: 'export',
    description:
      'What the keys and values of a decoder-only model are stored in: `export` means the type of the export, float32 in `fp32`, bfloat16 in `bf16` and float16 in all others; `int8` takes about half of float16’s memory and is faster behind long contexts, but costs some quality. Only with the native backend on the CPU; elsewhere `int8` changes nothing.',
  }),
  stepTokens: whole(3, 1_048_576, {
    default: 512,
    description:
      'Maximum tokens per step: one for each running sequence (not counting guesses), the rest for new prompts.',
  }),
  stepMs: whole(0, 60_000, {
    default: 250,
    description:
      'Maximum duration of a step that only computes prompts, in milliseconds, as far as measured times tell; a slow model may take as long as eight of its decode steps. While sequences generate, prompts make a step at most three times as long as without them. 0: only `ALTUP_STEP_TOKENS` and `ALTUP_PREFILL_CHUNK` limit prompts.',
  }),
  prefillChunk: whole(3, 1_048_576, {
    default: 256,
    description:
      'Maximum prompt tokens of one sequence computed at a time; `ALTUP_STEP_MS` makes them fewer.',
  }),
  promptLookup: flag({
    default: true,
    description:
      'Sequences get guesses of their next tokens from their own text, which the model checks in one step: of a decoder-only model in batches too, of an encoder-decoder alone. Tokens stay the same; rewriting and extracting text gets faster. Only with the native backend on an x64 CPU with AVX2.',
  }),
  draft: optionalText({
    description:
      'Smaller models that propose next tokens for larger ones, which check several in one step: `<model>=<draft>`, several of them separated by commas; names as in requests, so `<model>:<precision>` too. Both need the same vocabulary. Tokens stay the same. Each draft is loaded together with its model. Only with the native backend on an x64 CPU with AVX2, and not for models with sparse experts.',
  }),
  maxQueuedRequests: whole(1, 1_000_000, {
    default: 256,
    description: 'Maximum sequences that wait for a slot; more are refused with 429.',
  }),
  maxQueuedTokens: whole(1, 1_000_000_000, {
    default: 65_536,
    description: 'Maximum prompt tokens that wait for a slot; more are refused with 429.',
  }),
  clientQueueShare: whole(1, 100, {
    default: 75,
    description:
      'Maximum share of the queue for one API key (without keys: one address), in percent of its sequences and of its prompt tokens; less while others wait.',
  }),
  queueTimeoutMs: whole(1, day, {
    default: 30_000,
    description: 'Maximum wait for a slot, in milliseconds; then 504.',
  }),
  requestTimeoutMs: whole(1, day, {
    default: 300_000,
    description: 'Maximum duration of a request, including its wait, in milliseconds; then 504.',
  }),
  drainTimeoutMs: whole(0, day, {
    default: 30_000,
    description: 'How long running requests may continue after a stop signal, in milliseconds.',
  }),
  bodyLimit: whole(1024, 1_073_741_824, {
    default: 1_048_576,
    description: 'Maximum request body, in bytes; larger ones are refused with 413.',
  }),
  unknownFields: oneOf(['refuse', 'ignore'], {
    default: 'refuse',
    description:
      'What happens to fields of a request body that the service does not know: it refuses the request with 400, or ignores them and names them in the header `X-Ignored-Fields` of the answer.',
  }),
  responsesStore: optionalText({
    description:
      'Maximum memory for responses of `/v1/responses` that clients can read and continue later, such as `64MiB`. Unset: none are stored.',
  }),
  apiKeys: optionalText({
    secret: true,
    description:
      'API keys, separated by commas; clients send one as `Authorization: Bearer <key>` or `X-API-Key: <key>`. If no key is set, requests need none.',
  }),
  apiKeysFile: optionalText({
    description:
      'File with one API key per line, optionally followed by a name: `<key> <name>`. These keys add to those above. Empty lines and lines that begin with `#` are skipped. The service reads the file again when it changes.',
  }),
  urgentKeys: optionalText({
    description:
      'Names of the API keys whose requests may have a `priority` below 0, separated by commas; `*` allows every client. Unset: no client.',
  }),
  adminKeys: optionalText({
    description:
      'Names of the API keys that may load and unload models and reload the folders (`/admin/…`), separated by commas. Unset: none.',
  }),
  rateLimit: optionalText({
    description:
      'Limit for each API key (without keys: each address): requests per second, minute or hour, concurrent sequences, or both, such as `120/minute, 16 concurrent`. More are refused with 429.',
  }),
  trustedProxies: optionalText({
    description:
      'Proxies whose `X-Forwarded-For` is trusted: addresses, prefixes such as `10.0.0.0/8`, or `loopback`, `linklocal`, `uniquelocal`, separated by commas. Unset: a client’s address is the one it connects from.',
  }),
  allowedHosts: optionalText({
    description:
      'Host names that requests may use, separated by commas: `api.example.com`, `*.example.com` or `*`; addresses and `localhost` are always allowed. Unset: every name is allowed, except on a loopback address without API keys, where only addresses and `localhost` are.',
  }),
  corsOrigins: optionalText({
    description:
      'Web pages of these origins may call the service from a browser: `https://app.example.com`, several of them separated by commas, or `*` for all. Unset: only the service’s own pages.',
  }),
  playgroundOrigins: optionalText({
    description:
      'Other servers that the page at `/` may compare with: their origins, such as `http://127.0.0.1:8000`, separated by commas, or `*` for all. Unset: none.',
  }),
  streamBuffer: whole(1024, 1_073_741_824, {
    default: 1_048_576,
    description:
      'Maximum bytes of a stream that wait for its client to read them; slower clients are cut off.',
  }),
  streamIntervalMs: whole(0, 1000, {
    default: 5,
    description:
      'Minimum milliseconds between two writes to a stream; events that come sooner are written together, which costs less. 0 sends every token at once.',
  }),
  otelEndpoint: optionalText({
    description:
      'Base URL of an OpenTelemetry collector that accepts OTLP over HTTP, such as `http://localhost:4318`; the service sends traces to `/v1/traces` there. Unset: no traces.',
  }),
  logLevel: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'Least severe level that is logged.',
  }),
  strict: flag({
    default: false,
    description: 'Stop at start if any model cannot be served, instead of serving the others.',
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
