import { TesseraError } from '@tessera/protocol';
import type { ExpertsConfig } from '../engine/engine-config.js';
import type { ShardAddress } from './shard-link.js';

/**
 * What an operator should know of a shard that cannot be reached, or went away. A certificate that the other side refuses
 * shows as no more than a failed connection, so the settings that both sides must have are named.
 */
export function lostShard(
  { address, group }: ShardAddress,
  error: TesseraError,
  tls: ExpertsConfig['tls'],
): TesseraError {
  const hint = mayBeRefused(error, tls) ? `. ${terms(tls)}` : '';
  const message = `the expert shard at ${address} (group ${group}) was lost or not reached: ${error.message}${hint}`;
  return new TesseraError(error.code, message, { cause: error });
}

/** Whether certificates may be the reason. A connection over TLS may be dropped for them when it seems to stand already. */
function mayBeRefused({ code, message }: TesseraError, { caFile }: ExpertsConfig['tls']): boolean {
  if (code !== 'STAGE_UNAVAILABLE' || /ECONNREFUSED/.test(message)) return false;
  return caFile !== undefined || /No connection established/.test(message);
}

function terms({ caFile, certFile }: ExpertsConfig['tls']): string {
  if (caFile === undefined) return 'It was called without TLS, since experts.caFile is not set';
  if (certFile === undefined) {
    return 'It was called over TLS without a certificate, since experts.certFile is not set; one with grpc.clientCaFile refuses that';
  }
  return (
    'It was called over mutual TLS: its certificate must be of experts.caFile and have its name (experts.serverName), ' +
    'and experts.certFile must be of its grpc.clientCaFile'
  );
}
