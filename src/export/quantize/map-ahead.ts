/** What `apply` makes of each item, in order, with at most `limit` of them under way. */
export async function* mapAhead<In, Out>(
  items: AsyncIterable<In>,
  limit: number,
  apply: (item: In) => Promise<Out>,
): AsyncGenerator<Out> {
  const underWay: Promise<Out>[] = [];
  for await (const item of items) {
    const made = apply(item);
    // One that fails is thrown when its turn comes; whoever stops before that does not hear of it.
    made.catch(() => {});
    underWay.push(made);
    if (underWay.length >= limit) yield await underWay.shift()!;
  }
  for (const made of underWay) yield await made;
}
