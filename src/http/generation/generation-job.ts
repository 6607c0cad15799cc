import { randomBytes, randomUUID } from 'node:crypto';
import type { TextOwner } from '../../catalog/texts/text-workers.ts';
import { clientQueueLimit } from '../../engine/client/admission.ts';
import type { Clock } from '../../engine/protocol/clock.ts';
import {
  type GenerationRequest,
  promptLength,
  type StopConditions,
} from '../../engine/protocol/generation.ts';
import type { CompileGrammar, Grammar } from '../../sampling/grammar.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import type { ReadyModel } from '../models/find-model.ts';
import type { ServerConfig } from '../server-dependencies.ts';
import type { GenerationFields } from './generation-fields.ts';
import { readGrammar, type WantedGrammar } from './read-grammar.ts';
import { checkTokenIds } from './read-prompt.ts';
import { readSampling } from './read-sampling.ts';

/** A seed for the sampler: an unsigned 64-bit number in two halves, low half first. */
type Seed = readonly [low: number, high: number];

const goldenRatio = 0x9e3779b97f4a7c15n;

const halves = (value: bigint): Seed => [
  Number(value & 0xffffffffn),
  Number(BigInt.asUintN(64, value) >> 32n),
];

/** SplitMix64's finalizer: maps neighbouring numbers to unrelated ones. */
function mix(value: bigint): bigint {
  let z = BigInt.asUintN(64, value);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/**
 * The seed of a prompt's choice number `choice`. Choice 0 uses the client's seed, so a single choice equals the first
 * of several. The others differ from it and from each other. Random if the client sends no seed.
 */
export function choiceSeed(seed: number | null, choice: number): Seed {
  if (seed === null) {
    const bytes = randomBytes(8);
    return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
  }
  const base = BigInt.asUintN(64, BigInt(seed));
  return halves(choice === 0 ? base : mix(base + BigInt(choice) * goldenRatio));
}

/** The sequences to generate, one per choice, and what their answer needs. */
export interface GenerationJob {
  /** The answer's id. */
  id: string;
  /** Seconds since the epoch. */
  created: number;
  model: ReadyModel;
  prompts: readonly (readonly number[])[];
  /** Tokens of all prompts and of their completions' prefixes. */
  promptTokens: number;
  /** Choices to return for each prompt. */
  n: number;
  /** Choices to generate for each prompt, at least `n`; the best `n` are returned. */
  bestOf: number;
  /** Choice i of prompt p is at index p·bestOf + i. */
  requests: readonly GenerationRequest[];
  /** Keeps the grammar alive until the answer is complete: the requests only have its id. */
  grammar: Grammar | null;
  /** Whether the answer contains token ids. */
  givesTokenIds: boolean;
}

/** What differs between the kinds of generation request. */
interface GenerationTask {
  /** What the answer's id begins with. */
  idPrefix: string;
  prompts: readonly (readonly number[])[];
  /** By prompt, what its completions begin with; null: none given. */
  prefixes: readonly (readonly number[])[] | null;
  bestOf: number | null;
  /**
   * @param given the tokens that the decoder reads: the prompt, or an encoder-decoder model's prefix
   * @throws ServiceError when the request asks for more tokens than there is room for
   */
  maxTokens(given: readonly number[]): number;
  /** In the engine's form. */
  logprobs: number | null;
  promptLogprobs: number | null;
  /** What holds the text to a structure. */
  grammar: WantedGrammar | null;
  /** What to write for some special tokens, in the engine's form. */
  specialTexts: ReadonlyMap<number, string>;
}

export interface JobContext {
  model: ReadyModel;
  config: ServerConfig;
  compileGrammar: CompileGrammar;
  /** The shared clock, ms. */
  clock: Clock;
  /** Deadlines count from here. */
  arrivedAt: number;
  /** Whose request it is. Its client is the empty string if clients are not distinguished. */
  owner: TextOwner;
}

/** Whose requests a call to the engine has, when they came and how long they may take. */
export const arrivalOf = ({
  model,
  config,
  clock,
  arrivedAt,
  owner,
}: Omit<JobContext, 'compileGrammar'>) => ({
  model: model.name,
  client: owner.client,
  arrivedAt,
  queuedAt: clock(),
  queueDeadline: arrivedAt + config.queueTimeoutMs,
  deadline: arrivedAt + config.requestTimeoutMs,
});

/** The number of sequences per prompt. @throws ServiceError if the queue could never hold that many at once */
export function sequencesPerPrompt(
  { n, stream }: GenerationFields,
  bestOf: number | null,
  config: ServerConfig,
): number {
  const given = n ?? 1;
  const { requests: most } = clientQueueLimit(config);
  if (given > most) {
    throw invalidRequest('n', `\`n\` is ${given}; the maximum is ${most} choices.`);
  }
  if (bestOf === null) return given;
  if (bestOf < given) {
    throw invalidRequest(
      'best_of',
      `\`best_of\` is ${bestOf}; it must be at least \`n\`, which is ${given}.`,
    );
  }
  if (bestOf > given && stream) {
    throw invalidRequest(
      'best_of',
      '`best_of` above `n` cannot be combined with `stream`: the best choices are only known at the end.',
    );
  }
  if (bestOf > most) {
    throw invalidRequest('best_of', `\`best_of\` is ${bestOf}; the maximum is ${most} choices.`);
  }
  return bestOf;
}

/** @throws ServiceError `invalid_request` for faults that the schema cannot detect */
export async function createJob(
  fields: GenerationFields,
  task: GenerationTask,
  context: JobContext,
): Promise<GenerationJob> {
  const { model, config, owner } = context;
  if (!fields.stream && Object.values(fields.stream_options ?? {}).some(Boolean)) {
    throw invalidRequest('stream_options', '`stream_options` needs `stream` to be true.');
  }
  const bestOf = sequencesPerPrompt(fields, task.bestOf, config);
  const grammar = task.grammar && (await readGrammar(fields, task.grammar, context));
  const sampling = { ...(await readSampling(fields, model, owner)), grammar: grammar?.id ?? null };
  if (sampling.temperature === 0 && bestOf > 1) {
    const param = (fields.n ?? 1) > 1 ? 'n' : 'best_of';
    throw invalidRequest(
      param,
      `\`${param}\` above 1 needs a \`temperature\` above 0; at 0, all choices would be the same.`,
    );
  }
  const priority = fields.priority ?? 0;
  if (priority < 0 && !config.urgentKeys.has('*') && !config.urgentKeys.has(owner.client)) {
    throw invalidRequest(
      'priority',
      `\`priority\` is ${priority}; only the API keys named in ALTUP_URGENT_KEYS may send values below 0.`,
    );
  }
  const stop = readStop(fields, model.manifest.vocabSize);
  // Two requests may have the same `request_id`, so the engine never sees it.
  const unique = `${task.idPrefix}${randomUUID().replaceAll('-', '')}`;
  const arrival = arrivalOf(context);
  const requests = task.prompts.flatMap((promptTokens, prompt) => {
    const completionPrefix = task.prefixes?.[prompt] ?? [];
    const maxTokens = task.maxTokens(model.manifest.graphs.encoder ? completionPrefix : promptTokens);
    if (stop.minTokens > maxTokens) {
      throw invalidRequest(
        'min_tokens',
        `\`min_tokens\` is ${stop.minTokens}; the request generates at most ${maxTokens} tokens.`,
      );
    }
    return Array.from({ length: bestOf }, (_, choice) => ({
      ...arrival,
      task: 'generate' as const,
      id: `${unique}-${prompt * bestOf + choice}`,
      promptTokens,
      completionPrefix,
      maxTokens,
      sampling: { ...sampling, seed: choiceSeed(fields.seed ?? null, choice) },
      isReproducible: typeof fields.seed === 'number' || task.promptLogprobs !== null,
      stop,
      logprobs: task.logprobs,
      promptLogprobs: task.promptLogprobs,
      skipSpecialTokens: fields.skip_special_tokens ?? true,
      specialTexts: task.specialTexts,
      priority,
      cacheSalt: fields.cache_salt ?? '',
    }));
  });
  return {
    id: fields.request_id ? `${task.idPrefix}${fields.request_id}` : unique,
    created: Math.floor(Date.now() / 1000),
    model,
    prompts: task.prompts,
    promptTokens: requests.reduce((sum, request) => sum + promptLength(request), 0) / bestOf,
    n: fields.n ?? 1,
    bestOf,
    requests,
    grammar,
    givesTokenIds: fields.return_token_ids ?? false,
  };
}

/** What ends a completion before its maximum length. */
function readStop(fields: GenerationFields, vocabSize: number): StopConditions {
  const tokenIds = fields.stop_token_ids ?? [];
  checkTokenIds('stop_token_ids', tokenIds, vocabSize);
  return {
    strings: typeof fields.stop === 'string' ? [fields.stop] : (fields.stop ?? []),
    tokenIds,
    includeInOutput: fields.include_stop_str_in_output ?? false,
    ignoreEos: fields.ignore_eos ?? false,
    minTokens: fields.min_tokens ?? 0,
  };
}
