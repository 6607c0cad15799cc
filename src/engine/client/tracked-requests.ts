import type { ErrorCode } from '../../errors.ts';
import type { Clock } from '../protocol/clock.ts';
import type { EngineObserver } from '../protocol/engine.ts';
import {
  type AbortStage,
  type EndEvent,
  type GenerationEvent,
  type GenerationRequest,
  isEnd,
} from '../protocol/generation.ts';
import { RequestTimings } from '../worker/completion.ts';
import type { Admission } from './admission.ts';

/** Requests of one call, which share a stream of events. */
interface Group {
  readonly stream: EventStream;
  /** Ids of the requests that have not ended. */
  readonly open: Set<string>;
  /** Called once all have ended. */
  forget(): void;
}

interface Tracked {
  readonly request: GenerationRequest;
  readonly group: Group;
  readonly timings: RequestTimings;
}

/** A wait until nothing is open for `model`; undefined: for any model. */
interface EmptyWait {
  readonly model: string | undefined;
  resolve(): void;
}

/** The engine checks deadlines once per step; the main thread only acts on those it misses by more than this. */
const lateGraceMs = 250;

/** The main thread's record of admitted requests, each until it has ended. */
export class TrackedRequests {
  readonly #admission: Admission;
  readonly #observer: EngineObserver;
  readonly #clock: Clock;
  readonly #tracked = new Map<string, Tracked>();
  #onEmpty: EmptyWait[] = [];

  constructor(admission: Admission, observer: EngineObserver, clock: Clock) {
    this.#admission = admission;
    this.#observer = observer;
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#admission.queuedRequests;
  }

  get running(): number {
    return this.#tracked.size - this.waiting;
  }

  /**
   * Starts to track admitted requests. They count until they have ended, even if nobody listens any more.
   * @param abort called with the ids still open when the consumer leaves or `signal` aborts
   */
  open(
    requests: readonly GenerationRequest[],
    signal: AbortSignal,
    abort: (ids: string[]) => void,
  ): EventStream {
    const leave = () => {
      if (group.open.size > 0) abort([...group.open]);
    };
    const group: Group = {
      stream: new EventStream(leave),
      open: new Set(requests.map(({ id }) => id)),
      forget: () => signal.removeEventListener('abort', leave),
    };
    for (const request of requests) {
      this.#tracked.set(request.id, { request, group, timings: new RequestTimings(request) });
      this.#observer.admitted(request);
    }
    signal.addEventListener('abort', leave);
    return group.stream;
  }

  /** Ignores events of requests that have already ended here. */
  deliver(event: GenerationEvent): void {
    const tracked = this.#tracked.get(event.id);
    if (!tracked) return;
    const { request, group, timings } = tracked;
    if (event.type === 'started') {
      this.#admission.leave(request);
      timings.started(event.at);
      this.#observer.started(request, event.at);
    } else if (event.type === 'tokens') {
      timings.generated(event.tokens.length, event.at);
      this.#observer.token(request, event.at, event.tokens.length);
    }
    group.stream.push(event);
    if (isEnd(event)) this.#end(tracked, event);
  }

  /** Requests for `model` that have no slot yet, in order of arrival. */
  waitingFor(model: string): GenerationRequest[] {
    return this.#pick(({ request, timings }) => request.model === model && !timings.hasStarted).map(
      ({ request }) => request,
    );
  }

  /** Fails all open requests, or those for `model`, without waiting for the engine. */
  failAll(code: ErrorCode, message: string, model?: string): void {
    this.#fail(({ request }) => model === undefined || request.model === model, code, message);
  }

  failStarted(code: ErrorCode, message: string): void {
    this.#fail(({ timings }) => timings.hasStarted, code, message);
  }

  failWaiting(model: string, code: ErrorCode, message: string): void {
    this.#fail(({ request, timings }) => request.model === model && !timings.hasStarted, code, message);
  }

  /** Fails requests that are past their deadline by more than the engine needs to notice. @returns their ids */
  failLate(): string[] {
    const noticedBefore = this.#clock() - lateGraceMs;
    return this.#fail(
      ({ request: { queueDeadline, deadline }, timings }) =>
        noticedBefore > (timings.hasStarted ? deadline : Math.min(queueDeadline, deadline)),
      'deadline_exceeded',
      'The engine did not start or finish the request before its deadline.',
    );
  }

  /** Aborts the open requests among `ids`, in place of an engine that is away. */
  abort(ids: readonly string[]): void {
    const at = this.#clock();
    for (const { request, timings } of this.#pick(({ request: { id } }) => ids.includes(id))) {
      const stage = stageOf(timings);
      this.deliver({ type: 'aborted', id: request.id, stage, timings: timings.finished(at) });
    }
  }

  /** Settles when no request is open, or none for `model`. */
  whenEmpty(model?: string): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty.push({ model, resolve });
      this.#settleEmpty();
    });
  }

  #settleEmpty(): void {
    const open = new Set([...this.#tracked.values()].map(({ request }) => request.model));
    const isEmpty = ({ model }: EmptyWait) => (model === undefined ? open.size === 0 : !open.has(model));
    for (const { resolve } of this.#onEmpty.filter(isEmpty)) resolve();
    this.#onEmpty = this.#onEmpty.filter((wait) => !isEmpty(wait));
  }

  #pick(isWanted: (tracked: Tracked) => boolean): Tracked[] {
    return [...this.#tracked.values()].filter(isWanted);
  }

  #fail(isFailing: (tracked: Tracked) => boolean, code: ErrorCode, message: string): string[] {
    const at = this.#clock();
    return this.#pick(isFailing).map(({ request: { id }, timings }) => {
      const stage = stageOf(timings);
      this.deliver({ type: 'failed', id, code, message, stage, timings: timings.finished(at) });
      return id;
    });
  }

  #end({ request, group, timings }: Tracked, event: EndEvent): void {
    if (!timings.hasStarted) this.#admission.leave(request);
    this.#tracked.delete(request.id);
    this.#observer.ended(request, event);
    group.open.delete(request.id);
    if (group.open.size === 0) {
      group.stream.close();
      group.forget();
    }
    if (this.#onEmpty.length > 0) this.#settleEmpty();
  }
}

function stageOf(timings: RequestTimings): AbortStage {
  if (!timings.hasStarted) return 'queued';
  return timings.generatedTokens === 0 ? 'prefill' : 'decode';
}

type Result = IteratorResult<GenerationEvent, undefined>;

/** Passes events from the engine to one consumer; calls `onLeave` if the consumer leaves the loop early. */
export class EventStream implements AsyncIterableIterator<GenerationEvent> {
  readonly #onLeave: () => void;
  readonly #events: GenerationEvent[] = [];
  readonly #consumers: ((result: Result) => void)[] = [];
  #isClosed = false;

  constructor(onLeave: () => void) {
    this.#onLeave = onLeave;
  }

  push(event: GenerationEvent): void {
    if (this.#isClosed) return;
    const consumer = this.#consumers.shift();
    if (consumer) consumer({ done: false, value: event });
    else this.#events.push(event);
  }

  /** Ends the stream; events not consumed yet are still delivered. */
  close(): void {
    this.#isClosed = true;
    for (const consumer of this.#consumers.splice(0)) consumer({ done: true, value: undefined });
  }

  next(): Promise<Result> {
    const event = this.#events.shift();
    if (event) return Promise.resolve({ done: false, value: event });
    if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#consumers.push(resolve));
  }

  return(): Promise<Result> {
    this.#events.length = 0;
    if (!this.#isClosed) {
      this.close();
      this.#onLeave();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
