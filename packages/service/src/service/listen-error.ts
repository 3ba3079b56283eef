import { TesseraError } from '@tessera/protocol';

/**
 * Why an address cannot be listened on, in one sentence that names it and says what to do.
 * @param settings the group of settings that names the address: `grpc` for `grpc.host` and `grpc.port`
 */
export function listenError(
  settings: string,
  { host, port }: { host: string; port: number },
  cause: unknown,
): TesseraError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TesseraError('CONFIG_INVALID', sentence(settings, host, port, reason), { cause });
}

function sentence(settings: string, host: string, port: number, reason: string): string {
  if (reason.includes('EADDRINUSE')) {
    return `port ${port} of ${host} is taken: another program listens there; end that program, or set ${settings}.port to another port (0 takes any free one)`;
  }
  if (reason.includes('EACCES')) {
    return `port ${port} of ${host} is refused to this user by the system; set ${settings}.port to one from 1024 upwards, or allow it`;
  }
  if (reason.includes('EADDRNOTAVAIL') || reason.includes('ENOTFOUND')) {
    return `${host} is no address of this machine; set ${settings}.host to one, or to 0.0.0.0 for all of them`;
  }
  return `${settings}.host and ${settings}.port (${host}, ${port}) cannot be listened on: ${reason}`;
}
