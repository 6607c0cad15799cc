/** Milliseconds on a monotonic clock that all threads of the process share, unlike performance.now(). */
export type Clock = () => number;

export const sharedClock: Clock = () => Number(process.hrtime.bigint()) / 1e6;
