import type { ConnectOptions } from './connect-options.js';
import { TesseraClient } from './tessera-client.js';

/**
 * A client of the gateway at an address. It connects at its first call, and again whenever the connection is lost.
 * @param address `host:port` of the gateway's gRPC, or any name that gRPC resolves
 * @throws TesseraError CONFIG_INVALID for certificates that cannot be used
 */
export function connect(address: string, options: ConnectOptions = {}): TesseraClient {
  return new TesseraClient(address, options);
}
