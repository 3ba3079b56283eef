/** All that an iteration brings, when it has ended. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  return await take(items, Number.POSITIVE_INFINITY);
}

/** The first items of an iteration, which is left then; fewer where it ends before. */
export async function take<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}
