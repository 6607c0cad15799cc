import type { ErrorCode } from '../../errors.ts';
import type { Clock } from '../protocol/clock.ts';
import type { EngineObserver, Generation } from '../protocol/engine.ts';
import { type EngineRequest, type GenerationEvent, isEnd } from '../protocol/generation.ts';
import { SequenceLife } from '../protocol/sequence-life.ts';
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
  readonly life: SequenceLife;
  readonly group: Group;
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
  open(requests: readonly EngineRequest[], signal: AbortSignal, abort: (ids: string[]) => void): EventStream {
    const leave = () => {
      if (group.open.size > 0) abort([...group.open]);
    };
    const lives = requests.map((request) => new SequenceLife(request));
    const group: Group = {
      stream: new EventStream(lives, leave),
      open: new Set(requests.map(({ id }) => id)),
      forget: () => signal.removeEventListener('abort', leave),
    };
    for (const life of lives) {
      this.#tracked.set(life.request.id, { life, group });
      this.#observer.admitted(life);
    }
    signal.addEventListener('abort', leave);
    return group.stream;
  }

  /** Ignores events of requests that have already ended here. */
  deliver(event: GenerationEvent): void {
    const tracked = this.#tracked.get(event.id);
    if (!tracked) return;
    const { life, group } = tracked;
    const isLeavingQueue = life.startedAt === null && (event.type === 'started' || isEnd(event));
    if (isLeavingQueue) this.#admission.leave(life.request);
    this.#observer.happened(life, event);
    life.add(event);
    group.stream.push(event);
    if (isEnd(event)) this.#forget(event.id, group);
  }

  /** undefined: the request has ended. */
  modelOf(id: string): string | undefined {
    return this.#tracked.get(id)?.life.request.model;
  }

  /** Requests for `model` that have no slot yet, in order of arrival. */
  waitingFor(model: string): EngineRequest[] {
    return this.#pick(({ request, startedAt }) => request.model === model && startedAt === null).map(
      ({ request }) => request,
    );
  }

  /** Fails all open requests, or those for `model`, without waiting for the engine. */
  failAll(code: ErrorCode, message: string, model?: string): void {
    this.#fail(({ request }) => model === undefined || request.model === model, code, message);
  }

  failStarted(code: ErrorCode, message: string): void {
    this.#fail(({ startedAt }) => startedAt !== null, code, message);
  }

  failWaiting(model: string, code: ErrorCode, message: string): void {
    this.#fail(({ request, startedAt }) => request.model === model && startedAt === null, code, message);
  }

  /** Fails requests that are past their deadline by more than the engine needs to notice. @returns their ids */
  failLate(): string[] {
    const noticedBefore = this.#clock() - lateGraceMs;
    return this.#fail(
      ({ request: { queueDeadline, deadline }, startedAt }) =>
        noticedBefore > (startedAt === null ? Math.min(queueDeadline, deadline) : deadline),
      'deadline_exceeded',
      'The engine did not start or finish the request before its deadline.',
    );
  }

  /** Aborts the open requests among `ids`, in place of an engine that is away. */
  abort(ids: readonly string[]): void {
    const at = this.#clock();
    for (const { request, stage } of this.#pick(({ request: { id } }) => ids.includes(id))) {
      this.deliver({ type: 'aborted', id: request.id, at, stage });
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
    const open = new Set(this.#pick(() => true).map(({ request }) => request.model));
    const isEmpty = ({ model }: EmptyWait) => (model === undefined ? open.size === 0 : !open.has(model));
    for (const { resolve } of this.#onEmpty.filter(isEmpty)) resolve();
    this.#onEmpty = this.#onEmpty.filter((wait) => !isEmpty(wait));
  }

  #pick(isWanted: (life: SequenceLife) => boolean): SequenceLife[] {
    return [...this.#tracked.values()].map(({ life }) => life).filter(isWanted);
  }

  #fail(isFailing: (life: SequenceLife) => boolean, code: ErrorCode, message: string): string[] {
    const at = this.#clock();
    return this.#pick(isFailing).map(({ request: { id }, stage }) => {
      this.deliver({ type: 'failed', id, at, code, message, stage });
      return id;
    });
  }

  #forget(id: string, { open, stream, forget }: Group): void {
    this.#tracked.delete(id);
    open.delete(id);
    if (open.size === 0) {
      stream.close();
      forget();
    }
    if (this.#onEmpty.length > 0) this.#settleEmpty();
  }
}

type Result = IteratorResult<GenerationEvent, undefined>;

/** Passes events from the engine to one consumer; calls `onLeave` if the consumer leaves the loop early. */
export class EventStream implements AsyncIterableIterator<GenerationEvent>, Generation {
  readonly lives: readonly SequenceLife[];
  readonly #onLeave: () => void;
  readonly #events: GenerationEvent[] = [];
  readonly #consumers: ((result: Result) => void)[] = [];
  #isClosed = false;

  constructor(lives: readonly SequenceLife[], onLeave: () => void) {
    this.lives = lives;
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
