/** JSON has no −∞. */
const floor = -9999;

/** A logarithmic probability as answers have it. */
export const finite = (logprob: number): number => Math.max(floor, logprob);
