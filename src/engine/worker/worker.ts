import { parentPort, workerData } from 'node:worker_threads';
import { openSession } from '../../runtime/open-session.ts';
import { sharedClock } from '../protocol/clock.ts';
import {
  type EngineCommand,
  type EngineReport,
  errorDetail,
  type Port,
  type WorkerData,
} from '../protocol/messages.ts';
import { loadModel } from './load-model.ts';
import { availableMemory, MemoryBudget } from './memory-budget.ts';
import { WorkerLoop } from './worker-loop.ts';

/** Entry point of the engine thread. It must end by itself: stopping it inside ONNX Runtime aborts the process. */
const { options } = workerData as WorkerData;
const port: Port<EngineReport, EngineCommand> = parentPort!;
const onFault = (model: string, error: unknown) =>
  port.postMessage({ type: 'fault', model, detail: errorDetail(error) });
const memory = new MemoryBudget(availableMemory());

await new WorkerLoop({
  port,
  load: (spec, vocabulary) =>
    loadModel(spec, vocabulary, {
      options,
      openSession: (session) => openSession(session, options.runtime),
      memory,
      clock: sharedClock,
      onFault,
    }),
  clock: sharedClock,
}).run();
parentPort!.close();
