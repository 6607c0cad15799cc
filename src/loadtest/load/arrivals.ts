import { ConfigurationError } from '../../errors.ts';
import { parseJsonLine, readLines } from '../plan/read-lines.ts';
import { gamma, type RandomStream } from './random-stream.ts';

/**
 * Distribution of the gaps between arrivals. `burstiness` is the shape of the gamma distribution: 1 is Poisson, less
 * comes in bursts.
 */
export type ArrivalPattern = { kind: 'poisson' | 'constant' } | { kind: 'gamma'; burstiness: number };

/**
 * Arrival times of requests up to `endMs`, ascending, in milliseconds from the start.
 * @param perSecond requests per second on average
 */
export function arrivalTimes(
  pattern: ArrivalPattern,
  perSecond: number,
  endMs: number,
  random: RandomStream,
): number[] {
  const meanMs = 1000 / perSecond;
  const gap = () => {
    if (pattern.kind === 'constant') return meanMs;
    const shape = pattern.kind === 'gamma' ? pattern.burstiness : 1;
    return (gamma(shape, random) / shape) * meanMs;
  };
  const times: number[] = [];
  for (let at = gap(); at <= endMs; at += gap()) times.push(at);
  return times;
}

/**
 * Arrival times of a trace in milliseconds, relative to the first. Each line holds a number of seconds, or JSON with
 * `timestamp` in milliseconds, as in published traces.
 * @throws ConfigurationError if a line has no time, or a time is before the one above it
 */
export function readTrace(file: string): number[] {
  const lines = readLines('--trace', file).filter(({ text }) => !text.startsWith('#'));
  const times = lines.map((line) => {
    const { text, where } = line;
    const at = text.startsWith('{') ? Number(parseJsonLine('--trace', line).timestamp) : Number(text) * 1000;
    if (Number.isFinite(at)) return at;
    throw new ConfigurationError(
      `--trace: ${where} is neither a number of seconds nor JSON with "timestamp"`,
    );
  });
  const early = times.findIndex((at, i) => at < (times[i - 1] ?? at));
  if (early > 0)
    throw new ConfigurationError(`--trace: arrival ${early + 1} of ${file} is before the one above it`);
  if (times.length === 0) throw new ConfigurationError(`--trace: ${file} holds no arrivals`);
  return times.map((at) => at - times[0]!);
}
