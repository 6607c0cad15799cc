import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { ModelState } from '../../src/catalog/served-model.ts';
import { Admission, type AdmissionLimits } from '../../src/engine/client/admission.ts';
import { EngineClient } from '../../src/engine/client/engine-client.ts';
import type { EngineCommand, EngineReport, ModelSpec } from '../../src/engine/protocol/messages.ts';
import { WorkerLoop } from '../../src/engine/worker/worker-loop.ts';
import { EngineUnderTest, type EngineUnderTestOptions } from './engine-under-test.ts';
import { modelToLoad } from './fake-tokenizer.ts';
import { ManualClock } from './manual-clock.ts';
import { RecordingObserver } from './recording-observer.ts';

export interface InProcessEngineOptions {
  models: Record<string, EngineUnderTestOptions>;
  /** Models that the test loads itself. */
  later?: Record<string, EngineUnderTestOptions>;
  limits?: AdmissionLimits;
  /** Replaces the loading of a model; throw to fail it. */
  beforeLoad?: (spec: ModelSpec) => void | Promise<void>;
}

/** Client and worker loop of an engine in one thread, with fake sessions and a real message channel between them. */
export class InProcessEngine {
  readonly clock = new ManualClock();
  readonly observer = new RecordingObserver();
  readonly states: [model: string, state: ModelState['state']][] = [];
  readonly faults: (readonly [model: string | null, detail: string])[] = [];
  readonly engines = new Map<string, EngineUnderTest>();
  readonly client: EngineClient;
  /** Settles when each model is loaded or has failed. */
  readonly loaded: Promise<unknown>;
  /** Settles when the worker loop has ended. */
  ended: Promise<void> = Promise.resolve();

  constructor({ models, later = {}, limits, beforeLoad }: InProcessEngineOptions) {
    this.client = new EngineClient({
      startWorker: (onReport, onEnd) => {
        const { port1, port2 } = new MessageChannel();
        port1.on('message', onReport);
        this.ended = this.#runLoop(port2, { ...models, ...later }, beforeLoad).finally(() => {
          port2.close();
          onEnd(0);
        });
        return port1;
      },
      interrupt: () => {},
      admission: new Admission(
        limits ?? { maxQueuedRequests: 1000, maxQueuedTokens: 100_000, clientQueueShare: 100 },
        this.clock.now,
      ),
      observer: this.observer,
      clock: this.clock.now,
      onModelState: (model, { state }) => this.states.push([model, state]),
      onFault: (model, detail) => this.faults.push([model, detail]),
    });
    const loads = Object.keys(models).map((name) => this.client.loadModel(modelToLoad(name)));
    this.loaded = Promise.all(loads);
  }

  #runLoop(
    port: MessagePort,
    models: InProcessEngineOptions['models'],
    beforeLoad: InProcessEngineOptions['beforeLoad'],
  ): Promise<void> {
    const loop = new WorkerLoop({
      port: {
        postMessage: (report: EngineReport) => port.postMessage(report),
        on: (event, listener: (command: EngineCommand) => void) => port.on(event, listener),
      },
      load: async (spec, vocabulary) => {
        await beforeLoad?.(spec);
        await vocabulary;
        const engine = new EngineUnderTest({ ...models[spec.name], name: spec.name, clock: this.clock });
        this.engines.set(spec.name, engine);
        return engine.engine;
      },
      clock: this.clock.now,
    });
    return loop.run();
  }
}
