import { loadOrtApi } from '../native/load-ort-api.js';
import type { OrtApi } from '../native/ort-api.js';

/** The C API of this thread. @throws Error where there is none */
export async function nativeApi(): Promise<OrtApi> {
  const loaded = await loadOrtApi();
  if ('missing' in loaded) throw new Error(loaded.missing);
  return loaded.api;
}

/** How often each function of the C API is called while `body` runs, whatever becomes of the call, and how often with success. */
export async function countCalls(
  body: (api: OrtApi) => Promise<void>,
): Promise<{ called: Map<string, number>; succeeded: Map<string, number> }> {
  const api = await nativeApi();
  const original = { ...api.functions };
  const called = new Map<string, number>();
  const succeeded = new Map<string, number>();
  const add = (counts: Map<string, number>, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  const counting = Object.entries(original).map(([name, call]) => {
    const counted = (...args: unknown[]): unknown => {
      const result = (call as (...args: unknown[]) => unknown)(...args);
      add(called, name);
      // A status of null, or no status at all.
      if (result === null || result === undefined) add(succeeded, name);
      return result;
    };
    return [name, Object.assign(counted, call)];
  });
  Object.assign(api.functions, Object.fromEntries(counting));
  try {
    await body(api);
  } finally {
    Object.assign(api.functions, original);
  }
  return { called, succeeded };
}
