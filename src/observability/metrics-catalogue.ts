import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds; fine steps from half a millisecond, for models that take about one millisecond per token. */
const tokenBuckets = [
  0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15,
  0.25, 0.5, 1, 2.5,
];
/** Seconds; from a millisecond to a request's maximum lifetime. */
const requestBuckets = [
  0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 20, 40, 80, 160,
  320,
];
/** Seconds; fewer, because each client has a series for each bucket. */
const clientBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const batchBuckets = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256, 512, 1024];

const eventLoopTickMs = 2;

/** Every metric of the service. Names and labels are a contract, listed in docs/metrics.md; a test compares the two. */
export function createMetricsCatalogue() {
  const registry = new Registry();
  const registers = [registry];
  // The lag metrics are gaps between timer ticks, so they never read less than this interval.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: eventLoopTickMs });

  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter<L>({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge<L>({ name, help, labelNames, registers });
  const histogram = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    buckets: number[],
  ) => new Histogram<L>({ name, help, labelNames, buckets, registers });
  const ofModel = ['model'] as const;
  const ofClient = ['client'] as const;
  const seconds = (name: string, help: string, buckets: number[]) => histogram(name, help, ofModel, buckets);

  return {
    registry,
    requests: counter(
      'altup_requests_total',
      'HTTP requests answered; status 499: the client left before the answer was complete.',
      ['model', 'route', 'status'],
    ),
    rejected: counter('altup_requests_rejected_total', 'Sequences refused before they were queued.', [
      'model',
      'reason',
    ]),
    aborted: counter('altup_requests_aborted_total', 'Sequences aborted, by the stage they had reached.', [
      'model',
      'stage',
    ]),
    failed: counter('altup_requests_failed_total', 'Sequences that ended in an error, by error code.', [
      'model',
      'code',
    ]),
    engineRestarts: counter(
      'altup_engine_restarts_total',
      'Restarts of the engine’s thread after it died.',
      [],
    ),
    logLinesDropped: counter(
      'altup_log_lines_dropped_total',
      'Log lines lost because the disk was full or nobody read the pipe.',
      [],
    ),
    grammarSeconds: histogram(
      'altup_grammar_seconds',
      'From the request for a grammar or schema to its outcome: compiled, kept, refused, busy or left.',
      ['model', 'outcome'],
      requestBuckets,
    ),
    grammarsWaiting: gauge('altup_grammars_waiting', 'Grammars and schemas waiting to be compiled.', []),
    waiting: gauge('altup_requests_waiting', 'Sequences waiting for a slot.', ofModel),
    running: gauge('altup_requests_running', 'Sequences that hold a slot.', ofModel),
    clientRequests: counter('altup_client_requests_total', 'HTTP requests answered, by client and status.', [
      'client',
      'status',
    ]),
    clientWaiting: gauge(
      'altup_client_requests_waiting',
      'A client’s sequences waiting for a slot.',
      ofClient,
    ),
    clientQueueSeconds: histogram(
      'altup_client_queue_seconds',
      'Wait for a slot, by client.',
      ofClient,
      clientBuckets,
    ),
    clientTimeToFirstToken: histogram(
      'altup_client_time_to_first_token_seconds',
      'From the arrival of a client’s request to its first token.',
      ofClient,
      clientBuckets,
    ),
    clientPromptTokens: counter(
      'altup_client_prompt_tokens_total',
      'Prompt tokens of a client’s sequences that got a slot.',
      ofClient,
    ),
    clientGeneratedTokens: counter(
      'altup_client_generated_tokens_total',
      'Tokens generated for a client.',
      ofClient,
    ),
    clientGenerations: counter(
      'altup_client_generations_total',
      'Requests for text or embeddings that have ended, by client and model.',
      ['client', 'model'],
    ),
    clientStageSeconds: counter(
      'altup_client_stage_seconds_total',
      'Where the time of these requests went; the stages of a request add up to its duration.',
      ['client', 'model', 'stage'],
    ),
    queueTokens: gauge('altup_queue_tokens', 'Prompt tokens of the sequences waiting for a slot.', ofModel),
    prefillBacklog: gauge(
      'altup_prefill_backlog_seconds',
      'Time that the prompts not yet computed will take at the measured rate, without the decoding in between.',
      ofModel,
    ),
    textsWaiting: gauge(
      'altup_texts_waiting',
      'Texts and chats waiting for a process to tokenize or render them.',
      ofModel,
    ),
    tokenizeSeconds: seconds(
      'altup_tokenize_seconds',
      'Time to tokenize a text or render a chat, including the wait for a process.',
      requestBuckets,
    ),
    queueSeconds: seconds('altup_queue_seconds', 'Wait for a slot.', requestBuckets),
    prefillSeconds: seconds(
      'altup_prefill_seconds',
      'From getting a slot to the end of the prompt.',
      requestBuckets,
    ),
    decodeSeconds: seconds(
      'altup_decode_seconds',
      'From the end of the prompt to the last token.',
      requestBuckets,
    ),
    timeToFirstToken: seconds(
      'altup_time_to_first_token_seconds',
      'From the arrival of the request to its first token.',
      requestBuckets,
    ),
    interToken: seconds('altup_inter_token_seconds', 'Gap between two tokens of a sequence.', tokenBuckets),
    requestSeconds: seconds(
      'altup_request_seconds',
      'From the arrival of a sequence to its end.',
      requestBuckets,
    ),
    promptTokens: counter(
      'altup_prompt_tokens_total',
      'Prompt tokens of sequences that got a slot.',
      ofModel,
    ),
    prefixReusedTokens: counter(
      'altup_prefix_reused_tokens_total',
      'Prompt tokens reused from an earlier sequence instead of being computed.',
      ofModel,
    ),
    guessedTokens: counter(
      'altup_guessed_tokens_total',
      'Guessed tokens that the model checked: from the sequence’s own text (prompt lookup), or proposed by a draft.',
      ofModel,
    ),
    rightGuesses: counter(
      'altup_right_guesses_total',
      'Guessed tokens that were right; each saved a step.',
      ofModel,
    ),
    draftedTokens: counter(
      'altup_drafted_tokens_total',
      'Guessed tokens that a draft (`ALTUP_DRAFT`) proposed.',
      ofModel,
    ),
    rightDrafts: counter('altup_right_drafts_total', 'Tokens proposed by a draft that were right.', ofModel),
    generatedTokens: counter('altup_generated_tokens_total', 'Tokens generated.', ofModel),
    cacheUsage: gauge('altup_kv_cache_usage_ratio', 'Share of the slot cache in use, 0 to 1.', ofModel),
    cacheBytes: gauge(
      'altup_kv_cache_bytes',
      'Memory of keys and values, of running sequences and kept for later prompts.',
      ofModel,
    ),
    cacheBudget: gauge('altup_kv_cache_budget_bytes', 'Maximum memory of keys and values.', ofModel),
    stepSeconds: histogram(
      'altup_step_seconds',
      'Time inside ONNX Runtime per step, by phase.',
      ['model', 'phase'],
      tokenBuckets,
    ),
    stepBatchSize: histogram(
      'altup_step_batch_size',
      'Sequences decoded together in one step.',
      ofModel,
      batchBuckets,
    ),
    modelState: gauge('altup_model_state', '1 for the model’s current state, 0 for the others.', [
      'model',
      'state',
    ]),
    modelLoadSeconds: gauge('altup_model_load_seconds', 'Time to load the model.', ofModel),
    modelMemory: gauge(
      'altup_model_memory_bytes',
      'Memory of a loaded model: its weights, and its keys and values at most.',
      ofModel,
    ),
    modelLoads: counter('altup_model_loads_total', 'Loads of models, by outcome: loaded or failed.', [
      'model',
      'outcome',
    ]),
    modelLoadDuration: seconds('altup_model_load_duration_seconds', 'Time of each load.', requestBuckets),
    modelUnloads: counter(
      'altup_model_unloads_total',
      'Models unloaded: to make room for another, or because an administrator asked.',
      ['model', 'reason'],
    ),
    loadWaiting: gauge('altup_model_load_waiting', 'Requests waiting for their model to be loaded.', ofModel),
    modelInfo: gauge('altup_model_info', 'Always 1; the labels describe a loaded model.', [
      'model',
      'family',
      'precision',
      'variant',
      'parameters',
      'digest',
      'backend',
      'execution_provider',
    ]),
    buildInfo: gauge('altup_build_info', 'Always 1; the labels describe the running program.', [
      'version',
      'node',
    ]),
    // Metrics that the Gateway API Inference Extension's endpoint picker reads, under the names it knows.
    vllmWaiting: gauge('vllm:num_requests_waiting', 'Same as altup_requests_waiting.', ['model_name']),
    vllmRunning: gauge('vllm:num_requests_running', 'Same as altup_requests_running.', ['model_name']),
    vllmCacheUsage: gauge('vllm:kv_cache_usage_perc', 'Same as altup_kv_cache_usage_ratio.', ['model_name']),
    vllmCacheConfig: gauge(
      'vllm:cache_config_info',
      'Always 1; the size in tokens of the blocks in which a router compares prompts, and how many of them all slots hold.',
      ['model_name', 'block_size', 'num_gpu_blocks'],
    ),
  };
}

export type MetricsCatalogue = ReturnType<typeof createMetricsCatalogue>;
