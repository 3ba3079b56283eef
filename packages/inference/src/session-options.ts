import { TesseraError } from '@tessera/protocol';
import type { SessionOptions } from './session.js';

/**
 * Session options from settings.
 * @throws TesseraError CONFIG_INVALID on a device that there is no provider for
 */
export function sessionOptions(settings: { readonly threads: number; readonly device: string }): SessionOptions {
  const { threads, device } = settings;
  if (device !== 'cpu' && device !== 'cuda') {
    throw new TesseraError('CONFIG_INVALID', `the setting 'device' must be cpu or cuda, not ${JSON.stringify(device)}`);
  }
  return { threads, device };
}
