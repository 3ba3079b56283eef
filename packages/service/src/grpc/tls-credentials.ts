import { type ChannelCredentials, experimental, type ServerCredentials } from '@grpc/grpc-js';
import { TesseraError } from '@tessera/protocol';
import { CertificateFiles, type TlsFiles } from './certificate-files.js';

export interface TlsOptions {
  /** How often the files are read again. */
  readonly refreshMs: number;
  readonly onTrouble: (error: TesseraError) => void;
}

/**
 * How a server proves itself, and whether its callers must: with a CA, those without a certificate of it are refused.
 * @returns undefined for no TLS
 * @throws TesseraError CONFIG_INVALID
 */
export function serverCredentials(
  files: TlsFiles,
  { refreshMs, onTrouble }: TlsOptions,
): ServerCredentials | undefined {
  const { caFile, certFile, keyFile } = files;
  if (certFile === undefined && keyFile === undefined) {
    if (caFile === undefined) return undefined;
    throw new TesseraError(
      'CONFIG_INVALID',
      'grpc.clientCaFile asks callers for certificates, which needs TLS: give grpc.certFile and grpc.keyFile too',
    );
  }
  const provider = new CertificateFiles(files, refreshMs, onTrouble);
  const mutual = caFile !== undefined;
  // The identity comes first, whatever gRPC calls its parameters.
  return experimental.createCertificateProviderServerCredentials(provider, mutual ? provider : null, mutual);
}

/**
 * Whom a client trusts, and how it proves itself. Share it between clients: each reads its files for all.
 * @returns undefined for no TLS
 * @throws TesseraError CONFIG_INVALID
 */
export function clientCredentials(
  files: TlsFiles,
  { refreshMs, onTrouble }: TlsOptions,
): ChannelCredentials | undefined {
  const { caFile, certFile, keyFile } = files;
  if (caFile === undefined) {
    if (certFile === undefined && keyFile === undefined) return undefined;
    throw new TesseraError('CONFIG_INVALID', `${certFile ?? keyFile} is for TLS, which needs the CA of the other side`);
  }
  const provider = new CertificateFiles(files, refreshMs, onTrouble);
  return experimental.createCertificateProviderChannelCredentials(provider, certFile === undefined ? null : provider);
}
