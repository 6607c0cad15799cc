import { parentPort } from 'node:worker_threads';
import { type QuantizeJob, quantizeRows } from './quantize-rows.ts';

// A thread of quantize-pool.ts: runs one job at a time and answers in the order of the jobs.
parentPort!.on('message', ({ values, columns, bits }: QuantizeJob) => {
  const made = quantizeRows({ values, columns, bits });
  parentPort!.postMessage(made, [made.codes.buffer, made.scales.buffer, made.zeros.buffer]);
});
