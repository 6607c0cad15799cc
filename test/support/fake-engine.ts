import type { Engine, Generation } from '../../src/engine/protocol/engine.ts';
import {
  type EmbeddingRequest,
  type EngineRequest,
  type GenerationEvent,
  type GenerationRequest,
  isEnd,
} from '../../src/engine/protocol/generation.ts';
import { SequenceLife } from '../../src/engine/protocol/sequence-life.ts';
import type { ServiceError } from '../../src/errors.ts';
import { fakeEmbedding } from './fake-session.ts';

/** One token per character of `text`, then an end. */
export function textEvents(request: GenerationRequest, text: string): GenerationEvent[] {
  const { id, arrivedAt } = request;
  const pieces = [...text];
  return [
    { type: 'started', id, at: arrivedAt + 1 },
    { type: 'prefilled', id, at: arrivedAt + 3 },
    ...pieces.map(
      (piece, index): GenerationEvent => ({
        type: 'tokens',
        id,
        at: arrivedAt + 3 + index,
        tokens: [100 + index],
        text: piece,
        logprobs: null,
      }),
    ),
    { type: 'finished', id, at: arrivedAt + 4, reason: 'stop', stopReason: null, text: '' },
  ];
}

function embeddingEvents({ id, arrivedAt, promptTokens }: EmbeddingRequest): GenerationEvent[] {
  return [
    { type: 'started', id, at: arrivedAt + 1 },
    { type: 'embedded', id, at: arrivedAt + 3, embedding: fakeEmbedding(promptTokens) },
  ];
}

interface Call {
  lives: readonly SequenceLife[];
  signal: AbortSignal;
  open: Set<string>;
  events: GenerationEvent[];
  wake: () => void;
}

/**
 * An engine that emits the events a test chooses: from a script, immediately, or through `emit`, when the test calls
 * it. Records the submitted and the aborted requests.
 */
export class FakeEngine implements Engine {
  /** The events of each request, in order; empty if the test emits them itself. */
  script: (request: GenerationRequest) => GenerationEvent[] = (request) => textEvents(request, 'ok');
  /** The same for embeddings. */
  embeddingScript: (request: EmbeddingRequest) => GenerationEvent[] = embeddingEvents;
  /** Thrown by the next calls. */
  refusal: ServiceError | null = null;
  readonly submitted: GenerationRequest[] = [];
  readonly embeddings: EmbeddingRequest[] = [];
  readonly aborted: string[] = [];
  readonly calls: Call[] = [];
  #onSubmit: (() => void)[] = [];
  #onAbort: (() => void)[] = [];

  generate(requests: readonly EngineRequest[], signal: AbortSignal): Generation {
    if (this.refusal) throw this.refusal;
    const call: Call = {
      lives: requests.map((request) => new SequenceLife(request)),
      signal,
      open: new Set(requests.map(({ id }) => id)),
      events: [],
      wake: () => {},
    };
    this.calls.push(call);
    signal.addEventListener('abort', () => this.#abort(call), { once: true });
    if (signal.aborted) this.#abort(call);
    for (const request of requests) for (const event of this.#record(request)) this.#push(call, event);
    for (const resolve of this.#onSubmit.splice(0)) resolve();
    return Object.assign(this.#iterate(call), { lives: call.lives });
  }

  /** @returns its scripted events */
  #record(request: EngineRequest): GenerationEvent[] {
    if (request.task === 'embed') {
      this.embeddings.push(request);
      return this.embeddingScript(request);
    }
    this.submitted.push(request);
    return this.script(request);
  }

  load() {
    return { waiting: 2, running: 1, queuedTokens: 10 };
  }

  emit(event: GenerationEvent): void {
    this.#push(this.calls.find((call) => call.open.has(event.id))!, event);
  }

  /** Resolves when a request has been submitted. */
  async submission(): Promise<readonly GenerationRequest[]> {
    if (this.submitted.length === 0) await new Promise<void>((resolve) => this.#onSubmit.push(resolve));
    return this.submitted;
  }

  /** Resolves when a request has been aborted. */
  async abortion(): Promise<readonly string[]> {
    if (this.aborted.length === 0) await new Promise<void>((resolve) => this.#onAbort.push(resolve));
    return this.aborted;
  }

  #push(call: Call, event: GenerationEvent): void {
    call.lives.find(({ request }) => request.id === event.id)!.add(event);
    call.events.push(event);
    if (isEnd(event)) call.open.delete(event.id);
    call.wake();
  }

  #abort(call: Call): void {
    for (const id of [...call.open]) {
      this.aborted.push(id);
      this.#push(call, { type: 'aborted', id, at: 4, stage: 'decode' });
    }
    for (const resolve of this.#onAbort.splice(0)) resolve();
  }

  async *#iterate(call: Call): AsyncGenerator<GenerationEvent> {
    try {
      while (call.events.length > 0 || call.open.size > 0) {
        const event = call.events.shift();
        if (event) yield event;
        else await new Promise<void>((resolve) => (call.wake = resolve));
      }
    } finally {
      this.#abort(call);
    }
  }
}
