/** Runs `concurrency` clients that each ask for four completions of `tokens` tokens, one after another. */
export async function tokensPerSecond(
  concurrency: number,
  tokens: number,
  complete: () => Promise<void>,
): Promise<number> {
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (let i = 0; i < 4; i += 1) await complete();
    }),
  );
  return (concurrency * 4 * tokens * 1000) / (performance.now() - startedAt);
}
