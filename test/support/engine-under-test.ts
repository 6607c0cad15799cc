import { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import type { EngineRequest, GenerationEvent } from '../../src/engine/protocol/generation.ts';
import type { StepReport } from '../../src/engine/protocol/messages.ts';
import { SequenceLife } from '../../src/engine/protocol/sequence-life.ts';
import { Scheduler, type SchedulerOptions } from '../../src/engine/scheduler/scheduler.ts';
import { StepTimes } from '../../src/engine/scheduler/step-times.ts';
import { Draft } from '../../src/engine/worker/guesses/draft.ts';
import { ModelEngine } from '../../src/engine/worker/model-engine.ts';
import { TimedSession } from '../../src/engine/worker/timed-session.ts';
import { FakeSession, type FakeSessionOptions } from './fake-session.ts';
import { ManualClock } from './manual-clock.ts';
import { byteLevelTokenizer } from './tiny-tokenizers.ts';

const tokenizer = new Tokenizer(byteLevelTokenizer(), {});
/** The token of an ASCII character. */
export const tokenOf = (character: string) => 3 + character.charCodeAt(0);
export const eosToken = 1;

export interface EngineUnderTestOptions extends FakeSessionOptions {
  name?: string;
  scheduling?: Partial<SchedulerOptions>;
  clock?: ManualClock;
  promptLookup?: boolean;
  /** A session that drafts for the model. */
  draft?: FakeSession;
  stepMs?: number;
}

/** A model engine on a fake session and a manual clock; collects the engine's events. */
export class EngineUnderTest {
  readonly clock: ManualClock;
  readonly session: FakeSession;
  readonly engine: ModelEngine;
  readonly faults: unknown[] = [];
  readonly events: GenerationEvent[] = [];
  readonly steps: StepReport[] = [];

  constructor({
    name = 'model',
    scheduling,
    clock,
    promptLookup = false,
    draft,
    stepMs = 0,
    ...options
  }: EngineUnderTestOptions = {}) {
    this.clock = clock ?? new ManualClock();
    this.session = new FakeSession(options);
    const { slots, capacity, encoderCapacity, encoderWidth } = this.session;
    const limits = { slots, capacity, encoderCapacity };
    this.engine = new ModelEngine({
      name,
      session: this.session,
      limits: { ...limits, encoderWidth, cacheBudget: 0, isCacheLimit: false },
      scheduler: new Scheduler({
        ...limits,
        spareSlots: 0,
        stepTokens: 32,
        prefillChunk: 8,
        hasEqualRows: this.session.hasEqualRows,
        packs: this.session.packs,
        ...scheduling,
      }),
      times: new StepTimes(stepMs, this.session.packs),
      promptLookup,
      draft: draft === undefined ? null : this.#draftWith(draft),
      model: { tokenizer, eosTokens: [eosToken], decoderStart: encoderCapacity > 0 ? 0 : null },
      clock: this.clock.now,
      onFault: (error) => this.faults.push(error),
      onClosed: () => {},
    });
  }

  #draftWith(session: FakeSession): Draft {
    return new Draft({
      session,
      timed: new TimedSession(session, new StepTimes(0, session.packs), this.clock.now),
      positions: 10_000,
      vocabSize: this.session.vocabSize,
      onFault: (error) => this.faults.push(error),
    });
  }

  async step(): Promise<GenerationEvent[]> {
    const { events, step } = await this.engine.step();
    this.events.push(...events);
    this.steps.push(step);
    return [...events];
  }

  /** Submits the requests and runs steps until no work is left. */
  async finish(...requests: readonly EngineRequest[]): Promise<void> {
    for (const request of requests) this.engine.submit(request);
    for (let steps = 0; this.engine.hasWork; steps++) {
      if (steps > 10_000) throw new Error('the engine never comes to an end');
      await this.step();
    }
  }

  eventsOf(id: string): GenerationEvent[] {
    return this.events.filter((event) => event.id === id);
  }

  textOf(id: string): string {
    return this.eventsOf(id).reduce((text, event) => text + ('text' in event ? event.text : ''), '');
  }

  tokensOf(id: string): number[] {
    return this.eventsOf(id).flatMap((event) => (event.type === 'tokens' ? event.tokens : []));
  }

  endOf(id: string): GenerationEvent | undefined {
    return this.eventsOf(id).at(-1);
  }

  lifeOf(request: EngineRequest): SequenceLife {
    const life = new SequenceLife(request);
    for (const event of this.eventsOf(request.id)) life.add(event);
    return life;
  }
}
