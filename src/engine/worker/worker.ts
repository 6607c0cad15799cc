import { parentPort, workerData } from 'node:worker_threads';
import { openSession } from '../../runtime/open-session.ts';
import type { SessionOptions } from '../../runtime/session.ts';
import { sharedClock } from '../protocol/clock.ts';
import {
  type EngineCommand,
  type EngineReport,
  errorDetail,
  type Port,
  type WorkerData,
} from '../protocol/messages.ts';
import { loadModel } from './load-model.ts';
import { MemoryBudget } from './memory-budget.ts';
import { WorkerLoop } from './worker-loop.ts';

/** Entry point of the engine thread. It must end by itself: stopping it inside ONNX Runtime aborts the process. */
const { options } = workerData as WorkerData;
const port: Port<EngineReport, EngineCommand> = parentPort!;
const onFault = (model: string, error: unknown) =>
  port.postMessage({ type: 'fault', model, detail: errorDetail(error) });
// Measured by the first load, so that a driver that fails then fails a model, and not this thread.
let memory: MemoryBudget | null = null;

await new WorkerLoop({
  port,
  load: async (spec, vocabulary) => {
    memory ??= MemoryBudget.for(options.runtime);
    const openSessionHere = (session: SessionOptions) => openSession(session, options.runtime);
    const context = { options, openSession: openSessionHere, memory, clock: sharedClock, onFault };
    return loadModel(spec, vocabulary, context);
  },
  clock: sharedClock,
}).run();
parentPort!.close();
