/**
 * Runs the generator of an inner call, each step inside `step`: the place for what a plain `yield*` cannot do, since
 * the body of an async generator runs in the context of whoever asks for its next value.
 * If a step throws before the inner generator answers, the inner one is told to end but not waited for.
 */
export async function* drive<Response>(
  inner: AsyncGenerator<never, Response, undefined> | AsyncGenerator<Response, void, undefined>,
  step: <V>(next: () => Promise<V>) => Promise<V>,
): AsyncGenerator<Response, Response | undefined, undefined> {
  // Of both kinds of call, one yields only and the other returns only; here they are one.
  const generator = inner as AsyncGenerator<Response, Response | undefined, undefined>;
  let state: 'pending' | 'yielded' | 'done' = 'yielded';
  try {
    while (true) {
      state = 'pending';
      const result = await step(() => generator.next());
      if (result.done) {
        state = 'done';
        return result.value;
      }
      state = 'yielded';
      yield result.value;
    }
  } finally {
    if (state === 'yielded') await step(() => generator.return(undefined));
    else if (state === 'pending') generator.return(undefined).catch(() => {});
  }
}
