import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BasicConstraintsExtension,
  cryptoProvider,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;

/** Paths of PEM files. */
export interface KeyPairFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate authority of one test, whose files vanish with it. */
export class TestAuthority implements AsyncDisposable {
  #serial = 1;

  private constructor(
    private readonly dir: string,
    private readonly keys: webcrypto.CryptoKeyPair,
    private readonly certificate: X509Certificate,
  ) {}

  static async create(): Promise<TestAuthority> {
    cryptoProvider.set(globalThis.crypto);
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: 'CN=Test CA',
      notBefore: new Date(Date.now() - dayMs),
      notAfter: new Date(Date.now() + dayMs),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    const authority = new TestAuthority(await mkdtemp(join(tmpdir(), 'tessera-ca-')), keys, certificate);
    await writeFile(authority.caFile, certificate.toString('pem'));
    return authority;
  }

  get caFile(): string {
    return join(this.dir, 'ca.pem');
  }

  /** A file beside the certificates, for secrets of the same test. */
  async file(name: string, content: string): Promise<string> {
    const path = join(this.dir, name);
    await writeFile(path, content);
    return path;
  }

  /** A certificate for these names and addresses, of a client or a server; writes over the files of an earlier one. */
  async issue(
    name: string,
    dnsNames: readonly string[] = ['localhost'],
    addresses: readonly string[] = ['127.0.0.1'],
  ): Promise<KeyPairFiles> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.create({
      serialNumber: (++this.#serial).toString(16).padStart(2, '0'),
      subject: `CN=${name}`,
      issuer: this.certificate.subject,
      notBefore: new Date(Date.now() - dayMs),
      notAfter: new Date(Date.now() + dayMs),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: this.keys.privateKey,
      extensions: [
        new SubjectAlternativeNameExtension([
          ...addresses.map((value) => ({ type: 'ip' as const, value })),
          ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
        ]),
      ],
    });
    const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
    return {
      certFile: await this.file(`${name}.crt`, certificate.toString('pem')),
      keyFile: await this.file(`${name}.key`, key),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}
