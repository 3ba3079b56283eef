import type { TesseraError } from '@tessera/protocol';
import type { CommonSettings, ServiceContext } from '@tessera/service';

/**
 * Ties a process to its engine, without which it must not look alive: once that crashed, the service is not ready, and the
 * process fails with what ended the engine, after `last`.
 */
export function endWithEngine(
  crashed: Promise<TesseraError>,
  readiness: ServiceContext<CommonSettings>['readiness'],
  last: (error: TesseraError) => Promise<unknown> = async () => undefined,
): void {
  let alive = true;
  readiness.require({ what: 'its end, since the thread of its engine has ended', holds: () => alive });
  void crashed.then(async (error) => {
    alive = false;
    await last(error).catch(() => undefined);
    // Not caught on purpose: the process ends with it.
    throw error;
  });
}
