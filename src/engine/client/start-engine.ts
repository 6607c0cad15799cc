import { Worker } from 'node:worker_threads';
import { interruptNativeSessions } from '../../runtime/native/native-addon.ts';
import { type EngineReport, errorDetail, type WorkerData } from '../protocol/messages.ts';
import { EngineClient, type EngineClientOptions } from './engine-client.ts';

/** Starts the engine thread and connects to it. The thread prints to this process's own output. */
export function startEngine(
  data: WorkerData,
  options: Omit<EngineClientOptions, 'startWorker' | 'interrupt'>,
): EngineClient {
  // ONNX Runtime reads the process's environment when its library loads, and sends telemetry by default.
  process.env.ORT_DISABLE_TELEMETRY = '1';
  return new EngineClient({
    ...options,
    interrupt: interruptNativeSessions,
    startWorker: (onReport, onEnd) => {
      const worker = new Worker(new URL('../worker/worker.ts', import.meta.url), {
        workerData: data,
        name: 'engine',
      });
      worker.on('message', (report: EngineReport) => onReport(report));
      worker.on('error', (error) => options.onFault(null, errorDetail(error)));
      worker.once('exit', onEnd);
      return worker;
    },
  });
}
