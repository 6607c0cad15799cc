import { availableParallelism, cpus, totalmem } from 'node:os';

/** The machine that the benchmark ran on. */
export const describeMachine = () => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  threads: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
});
