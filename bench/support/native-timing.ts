import { execFileSync } from 'node:child_process';
import { nativeFolder } from '../../src/runtime/native/native-addon.ts';

/**
 * Nanoseconds that the CorrectPredict kernel (float32, in place), memcpy and a plain copy loop take for the same bytes,
 * split among the threads as in a node. One number for each run.
 */
export const timeMixing = (
  blocks: number,
  length: number,
  threads: number,
  runs: number,
  repeats: number,
): { kernel: number[]; memcpy: number[]; copyLoop: number[] } =>
  measure('mixing', blocks, length, threads, runs, repeats);

/** Bytes per second at which the threads read this much memory, which bounds the speed of a decode step. */
export const timeReading = (bytes: number, threads: number, runs: number): number =>
  measure('reading', bytes, threads, runs);

/** Builds native/src/timing/main.rs on first use, which takes a minute, and runs it. */
function measure<T>(what: string, ...numbers: readonly number[]): T {
  const example = ['run', '--quiet', '--release', '--locked', '--features', 'timing', '--example', 'timing'];
  const output = execFileSync('cargo', [...example, '--', what, ...numbers.map(String)], {
    cwd: nativeFolder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(output) as T;
}
