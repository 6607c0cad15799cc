import type { SequenceLife } from '../engine/protocol/sequence-life.ts';

/** What is known of an HTTP request when it arrives. */
interface Arrival {
  /** Its `X-Request-Id`. */
  readonly id: string;
  readonly method: string;
  /** The route's pattern, not the requested path: their number is bounded, so it can be a metric label. */
  readonly route: string;
  /** The client's address, as trusted proxies report it. */
  readonly address: string;
  /** Its `traceparent` header. */
  readonly traceparent: string | undefined;
  readonly arrivedAt: number;
}

/** A request for generated text or embeddings. */
interface GenerationTask {
  /** OpenTelemetry's name for it. */
  operation: 'text_completion' | 'chat' | 'embeddings';
  /** By OpenTelemetry's names, without `gen_ai.request.`; null: not given. Never a prompt or a completion. */
  parameters: Record<string, string | number | boolean | readonly string[] | null>;
}

/**
 * The life of one HTTP request. Each field is filled where its value becomes known; the access log, the metrics, the
 * spans and the answer's own figures read it. Times are milliseconds on the shared clock; null: not reached or not known.
 */
export class RequestLife implements Arrival {
  readonly id: string;
  readonly method: string;
  readonly route: string;
  readonly address: string;
  readonly traceparent: string | undefined;
  readonly arrivedAt: number;
  /** Whose request it is, for fair sharing and limits; the empty string if that does not matter. */
  client = '';
  /** The name of its API key; null if none is needed or the key is unknown. */
  keyName: string | null = null;
  /** The served model's name. */
  model: string | null = null;
  generation: GenerationTask | null = null;
  /** The answer's `id`. */
  completionId: string | null = null;
  /** When its body was read and its fields were checked. */
  readAt: number | null = null;
  /** When its model was in memory. */
  loadedAt: number | null = null;
  /** When its sequences were ready for the queue. */
  queuedAt: number | null = null;
  /** Tokens of all prompts, each counted once. */
  promptTokens: number | null = null;
  /** Once they are admitted: `choicesPerPrompt` in a row for each prompt. */
  sequences: readonly SequenceLife[] = [];
  choicesPerPrompt = 1;
  errorCode: string | null = null;
  /** The client read its stream too slowly and was cut off. */
  isSlowReader = false;

  constructor({ id, method, route, address, traceparent, arrivedAt }: Arrival) {
    this.id = id;
    this.method = method;
    this.route = route;
    this.address = address;
    this.traceparent = traceparent;
    this.arrivedAt = arrivedAt;
  }

  /** Records that it is a valid request. @param isLoaded its model is in memory already */
  beginGeneration(task: GenerationTask, isLoaded: boolean, at: number): void {
    this.generation = task;
    this.readAt = at;
    if (isLoaded) this.loadedAt = at;
  }

  /** When the first sequence left the queue. */
  get startedAt(): number | null {
    return firstOf(this.sequences.map(({ startedAt }) => startedAt));
  }

  get firstTokenAt(): number | null {
    return firstOf(this.sequences.map(({ firstTokenAt }) => firstTokenAt));
  }

  get lastTokenAt(): number | null {
    const last = Math.max(
      ...this.sequences.map(({ lastTokenAt }) => lastTokenAt ?? Number.NEGATIVE_INFINITY),
    );
    return Number.isFinite(last) ? last : null;
  }

  /** null before anything is admitted, and for embeddings. */
  get generatedTokens(): number | null {
    if (!this.sequences.some(({ request }) => request.task === 'generate')) return null;
    return this.sequences.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0);
  }

  /** Guessed tokens of all sequences: those that were right and those that were not. */
  get guesses(): { right: number; wrong: number } {
    let [right, all] = [0, 0];
    for (const { guessedTokens, rightGuesses } of this.sequences) {
      all += guessedTokens;
      right += rightGuesses;
    }
    return { right, wrong: all - right };
  }

  /**
   * Prompt tokens that were not computed. Each prompt counts once, as in `promptTokens`, with the smallest number among
   * its finished choices: the others took over tokens that were computed for this answer.
   */
  get cachedTokens(): number {
    const byPrompt = new Map<number, number>();
    for (const [index, { end, cachedTokens }] of this.sequences.entries()) {
      if (end?.type !== 'finished') continue;
      const prompt = Math.floor(index / this.choicesPerPrompt);
      byPrompt.set(prompt, Math.min(cachedTokens, byPrompt.get(prompt) ?? cachedTokens));
    }
    return [...byPrompt.values()].reduce((sum, tokens) => sum + tokens, 0);
  }

  /** In the order in which the sequences finished. */
  get finishReasons(): string[] {
    const ends = this.sequences.flatMap(({ end }) => (end?.type === 'finished' ? [end] : []));
    return ends.sort((a, b) => a.at - b.at).map(({ reason }) => reason);
  }

  /** Records the end of the answer. @param status 499: the client left first */
  answered(status: number, endedAt: number): AnsweredRequest {
    return Object.assign(this, { status, endedAt });
  }
}

export type AnsweredRequest = RequestLife & { readonly status: number; readonly endedAt: number };

function firstOf(times: readonly (number | null)[]): number | null {
  const first = Math.min(...times.map((at) => at ?? Number.POSITIVE_INFINITY));
  return Number.isFinite(first) ? first : null;
}

/** From one time to another, in milliseconds, exact to the microsecond; null if one was not reached. */
export function between(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : Math.round((to - from) * 1000) / 1000;
}
