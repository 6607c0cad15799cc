/** Tokens per second of `concurrency` clients that complete `lengths`; each client takes the next when it is free. */
export async function tokensPerSecond(
  concurrency: number,
  lengths: readonly number[],
  complete: (tokens: number) => Promise<void>,
): Promise<number> {
  const left = lengths.values();
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const tokens of left) await complete(tokens);
    }),
  );
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return (tokens * 1000) / (performance.now() - startedAt);
}
