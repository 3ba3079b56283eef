import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { TesseraError, type TlsOptions } from '@tessera/client';
import { type Command, Option } from 'commander';

/** How a command proves whom it calls, and itself. */
export interface TlsFlags {
  readonly tls: boolean;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsServerName?: string;
}

/** Adds the flags to a command that calls services by gRPC. */
export function tlsFlags(command: Command): Command {
  return command
    .option('--tls', 'call over TLS, trusting the authorities that come with Node', false)
    .addOption(
      new Option('--tls-ca <file>', 'call over TLS, trusting the authorities in this PEM file').env('TESSERA_TLS_CA'),
    )
    .addOption(
      new Option('--tls-cert <file>', 'a certificate of your own, where callers are asked for one').env(
        'TESSERA_TLS_CERT',
      ),
    )
    .addOption(new Option('--tls-key <file>', 'its key').env('TESSERA_TLS_KEY'))
    .addOption(
      new Option(
        '--tls-server-name <name>',
        "the name in the server's certificate where it is not that of the address, as behind kubectl port-forward",
      ).env('TESSERA_TLS_SERVER_NAME'),
    );
}

/**
 * Reads the files.
 * @returns undefined for no TLS
 * @throws TesseraError CONFIG_INVALID naming the flag and its file
 */
export async function readTls(flags: TlsFlags): Promise<TlsOptions | undefined> {
  const { tls, tlsCa, tlsCert, tlsKey, tlsServerName: serverName } = flags;
  const isAsked = tls || [tlsCa, tlsCert, tlsKey, serverName].some((given) => given !== undefined);
  if (!isAsked) return undefined;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new TesseraError(
      'CONFIG_INVALID',
      'a certificate and its key go together: give both --tls-cert and --tls-key',
    );
  }
  const ca = await pemOf('--tls-ca', tlsCa, 'CERTIFICATE');
  const cert = await pemOf('--tls-cert', tlsCert, 'CERTIFICATE');
  const key = await pemOf('--tls-key', tlsKey, 'PRIVATE KEY');
  return { ca, cert, key, serverName };
}

/** Node takes a file without a certificate for one that trusts nobody, and says so only of the server. */
async function pemOf(flag: string, file: string | undefined, block: string): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  let bytes: Buffer;
  try {
    bytes = await readFile(resolve(file));
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', `${flag} ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  // RSA PRIVATE KEY and TRUSTED CERTIFICATE are such blocks, too.
  if (new RegExp(`^-----BEGIN ([A-Z0-9]+ )?${block}-----`, 'm').test(bytes.toString('latin1'))) return bytes;
  throw new TesseraError('CONFIG_INVALID', `${flag} ${file} has no block BEGIN ${block}, as a PEM file has`);
}
