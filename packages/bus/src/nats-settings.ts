import { maxBytesOf, queues, type StreamDeclaration, type StreamKind, spreadStreams } from '@tessera/protocol';
import { type Setting, type Settings, setting } from '@tessera/service';
import { z } from 'zod';
import { type BusLimits, defaultBusLimits } from './bus-options.js';
import type { BusCredentials } from './connection/bus-credentials.js';

const positive = z.int().min(1);
const text = z.string().min(1);

type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name;
type BytesKeys = { readonly [Name in StreamKind]: `nats.${CamelCase<Name>}Bytes` };

/** The setting of the bytes of a kind of stream. */
function bytesKey<Name extends StreamKind>(name: Name): BytesKeys[Name] {
  const words = name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return `nats.${words}Bytes` as BytesKeys[Name];
}

const bytesSetting = ({ name, contents, maxBytes }: StreamDeclaration<StreamKind>, suffix = '') =>
  [
    bytesKey(name),
    setting(positive.min(64 * 1024), { default: maxBytes, description: `Bytes of ${contents}${suffix}.` }),
  ] as const;

/** One for each queue, for each product, for the parts and for the uploads. */
const bytesSettings = Object.fromEntries([
  ...queues.map((queue) => bytesSetting(queue)),
  ...spreadStreams.map((declaration) => bytesSetting(declaration, ', all streams together')),
]) as Record<BytesKeys[StreamKind], Setting<number>>;

/**
 * Where NATS is and who this service is there, what its streams hold, and how patient the stages are. Whoever starts last decides about the streams, so every
 * service of a deployment is best given the same; docs/sizing.md has the rule that computes them.
 */
export const natsSettings = {
  'nats.url': setting(z.string().min(1), {
    default: 'nats://127.0.0.1:4222',
    description: 'Where NATS is reached; several servers with commas between them.',
  }),
  'nats.user': setting(text.optional(), { description: 'User of NATS.', example: 'encoder' }),
  'nats.passwordFile': setting(text.optional(), {
    description: "File of that user's password. Files of secrets are read again at each connection.",
    example: '/etc/tessera/nats/password',
  }),
  'nats.tokenFile': setting(text.optional(), {
    description: 'File of the token of NATS, where it has no users.',
    example: '/etc/tessera/nats/token',
  }),
  'nats.nkeyFile': setting(text.optional(), {
    description: "File of the seed of the user's nkey.",
    example: '/etc/tessera/nats/seed.nk',
  }),
  'nats.credentialsFile': setting(text.optional(), {
    description: "File of the user's credentials: its JWT and seed, as nsc writes them.",
    example: '/etc/tessera/nats/user.creds',
  }),
  'nats.tls': setting(z.enum(['auto', 'require']), {
    default: 'auto',
    description:
      'auto: TLS where the server offers it. require: a server without it is refused, as it is with any of the files below.',
  }),
  'nats.caFile': setting(text.optional(), {
    description: "PEM file of the CA of the server's certificate; without one the system's CAs count.",
    example: '/etc/tessera/nats/ca.crt',
  }),
  'nats.certFile': setting(text.optional(), {
    description: 'PEM file of the certificate that is shown to NATS (mutual TLS).',
    example: '/etc/tessera/nats/tls.crt',
  }),
  'nats.keyFile': setting(text.optional(), {
    description: "PEM file of that certificate's key.",
    example: '/etc/tessera/nats/tls.key',
  }),
  'nats.serverName': setting(text.optional(), {
    description: "Name in the server's certificate, where it is not the host of nats.url.",
    example: 'nats.messaging.svc',
  }),
  'nats.prefix': setting(z.string().regex(/^[A-Za-z0-9_-]+$/, 'use letters, digits, - and _ only'), {
    default: 'tessera',
    description: 'First word of every stream and subject, so that several deployments can share one NATS.',
  }),
  'nats.waitMs': setting(positive, {
    default: 60_000,
    description:
      'How long a service that starts waits for NATS, in milliseconds; then it ends with status 1. Take more than a restart of NATS needs.',
  }),
  'nats.partBytes': setting(z.int().min(1024), {
    default: defaultBusLimits.partBytes,
    description:
      "The most bytes of media, features, tokens or picture in one message; more is cut into parts of this size. The server's max_payload must be at least 32 KiB more.",
  }),
  'nats.shards': setting(positive.max(256), {
    default: defaultBusLimits.shards,
    description:
      'Streams over which visual tokens, drawings and parts are spread, each kind; a JetStream cluster carries them on several servers.',
  }),
  'nats.replicas': setting(positive.max(5), {
    default: defaultBusLimits.replicas,
    description: 'Servers of a JetStream cluster that hold each stream. With 1, what a lost server held is made again.',
  }),
  'nats.maxJobs': setting(positive, {
    default: defaultBusLimits.maxJobs,
    description: 'Jobs that may wait in each queue of a model revision.',
  }),
  ...bytesSettings,
  'nats.uploadMs': setting(positive.min(1000), {
    default: defaultBusLimits.uploadMs,
    description: 'How long an upload may be named by requests, in milliseconds.',
  }),
  'nats.queueWaitMs': setting(positive, {
    default: defaultBusLimits.queueWaitMs,
    description: 'How long a job waits for room in a full queue before it is refused, in milliseconds.',
  }),
  'nats.ackWaitMs': setting(positive.min(1000), {
    default: defaultBusLimits.ackWaitMs,
    description:
      'How long a job may go without a sign of its worker before another one gets it, in milliseconds: the time that the death of a worker costs.',
  }),
  'nats.stallMs': setting(positive.min(1000), {
    default: defaultBusLimits.stallMs,
    description:
      'A job that makes no progress for so long, and waits for nobody, is taken from its handler, in milliseconds; longer than the longest tile or step.',
  }),
  'nats.maxDeliveries': setting(positive.max(100), {
    default: defaultBusLimits.maxDeliveries,
    description: 'How often a job is begun before it counts as undoable.',
  }),
  'nats.maxTensorBytes': setting(positive, {
    default: defaultBusLimits.maxTensorBytes,
    description: 'The most bytes of one tile, as float16: its features or its visual tokens.',
  }),
  'nats.maxPendingBytes': setting(positive, {
    default: defaultBusLimits.maxPendingBytes,
    description: 'The most bytes of incomplete tiles that one engine holds.',
  }),
  'nats.revisionIdleMs': setting(positive.min(60_000), {
    default: defaultBusLimits.revisionIdleMs,
    description: 'The queues of a model revision that no service has for so long are removed, in milliseconds.',
  }),
};

export type NatsSettings = typeof natsSettings;

/** How a process proves itself to NATS, as its settings say. */
export function credentialsFrom(settings: Settings<NatsSettings>): BusCredentials {
  return {
    user: settings['nats.user'],
    passwordFile: settings['nats.passwordFile'],
    tokenFile: settings['nats.tokenFile'],
    nkeyFile: settings['nats.nkeyFile'],
    credentialsFile: settings['nats.credentialsFile'],
    requireTls: settings['nats.tls'] === 'require',
    caFile: settings['nats.caFile'],
    certFile: settings['nats.certFile'],
    keyFile: settings['nats.keyFile'],
    serverName: settings['nats.serverName'],
  };
}

/** @param maxDeadlineMs the longest time that a call may take: nothing is kept for longer */
export function busLimits(settings: Settings<NatsSettings>, maxDeadlineMs: number): Partial<BusLimits> {
  return {
    partBytes: settings['nats.partBytes'],
    shards: settings['nats.shards'],
    replicas: settings['nats.replicas'],
    maxJobs: settings['nats.maxJobs'],
    maxBytes: maxBytesOf(({ name }) => settings[bytesKey(name)]),
    maxDeadlineMs,
    uploadMs: settings['nats.uploadMs'],
    queueWaitMs: settings['nats.queueWaitMs'],
    ackWaitMs: settings['nats.ackWaitMs'],
    stallMs: settings['nats.stallMs'],
    maxDeliveries: settings['nats.maxDeliveries'],
    maxTensorBytes: settings['nats.maxTensorBytes'],
    maxPendingBytes: settings['nats.maxPendingBytes'],
    revisionIdleMs: settings['nats.revisionIdleMs'],
  };
}
