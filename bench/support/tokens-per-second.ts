/** Has completions of `lengths` tokens done by `concurrency` clients, each of whom takes the next when it has one done. */
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
