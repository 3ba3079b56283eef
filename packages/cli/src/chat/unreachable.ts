import type { TesseraError } from '@tessera/client';
import { ClientError } from 'nice-grpc-common';
import { RichClientError } from 'nice-grpc-error-details';
import { HintedError } from '../hinted-error.js';

/** A failure to reach the server at all, told as such; any other failure as it is. */
export function explained(error: TesseraError, address: string): TesseraError {
  const { cause } = error.options;
  // What a server says carries details; what the connection itself met does not.
  const byServer = cause instanceof RichClientError && cause.extra.length > 0;
  if (error.code !== 'STAGE_UNAVAILABLE' || !(cause instanceof ClientError) || byServer) return error;
  return new HintedError(
    'STAGE_UNAVAILABLE',
    `no server can be reached at ${address}: ${cause.details}`,
    'Start one in another terminal with: tessera up. Or name another with --address, or TESSERA_ADDRESS. ' +
      'One that speaks TLS is called with --tls or --tls-ca.',
    error,
  );
}
