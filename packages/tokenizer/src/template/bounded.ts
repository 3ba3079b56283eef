import { createContext, Script } from 'node:vm';

const sandbox: { run?: () => unknown } = {};
const call = new Script('run()');
let context: ReturnType<typeof createContext> | undefined;

/**
 * Runs something that takes no longer than it may; code that never waits can be ended by nothing else in its thread.
 * @returns undefined where it took longer
 */
export function withinTime<T>(ms: number, run: () => T): { readonly value: T } | undefined {
  context ??= createContext(sandbox);
  const outer = sandbox.run;
  sandbox.run = run;
  try {
    return { value: call.runInContext(context, { timeout: ms }) as T };
  } catch (error) {
    if ((error as { code?: unknown } | undefined)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined;
    throw error;
  } finally {
    if (outer === undefined) delete sandbox.run;
    else sandbox.run = outer;
  }
}
