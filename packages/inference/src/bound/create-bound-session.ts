import { TesseraError } from '@tessera/protocol';
import { type LoadedOrtApi, loadOrtApi } from '../native/load-ort-api.js';
import { NativeDriver } from '../native/native-driver.js';
import { NodeDriver } from '../node/node-driver.js';
import type { BoundSession, BoundSessionOptions } from './bound-session.js';
import { CheckedSession } from './checked-session.js';

/**
 * Loads an ONNX graph to run over memory that stays in place. External data lies beside the file.
 * @throws TesseraError CHECKPOINT_INVALID when the graph cannot be loaded; CONFIG_INVALID when the device is not there, or
 * the backend that was asked for is not
 */
export function createBoundSession(graphPath: string, options: BoundSessionOptions): Promise<BoundSession> {
  return chooseBackend(graphPath, options, loadOrtApi);
}

/** @param load finds the C API */
export async function chooseBackend(
  graphPath: string,
  options: BoundSessionOptions,
  load: () => Promise<LoadedOrtApi>,
): Promise<BoundSession> {
  const { backend = 'auto' } = options;
  const openNode = (reason?: string): Promise<BoundSession> =>
    NodeDriver.open(graphPath, options).then((driver) => new CheckedSession(driver, reason));
  if (backend === 'node') return openNode();
  const loaded = await load();
  if ('api' in loaded) return new CheckedSession(NativeDriver.open(loaded.api, graphPath, options), undefined);
  if (backend === 'auto') return openNode(loaded.missing);
  throw new TesseraError('CONFIG_INVALID', `ONNX Runtime's C API cannot be used: ${loaded.missing}`);
}
