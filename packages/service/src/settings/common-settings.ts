import { z } from 'zod';
import { setting } from './setting.js';

const port = z.int().min(0).max(65535);
const positive = z.int().min(1);
const text = z.string().min(1);

/** What every service has. A service adds its own: `{ ...commonSettings, 'batch.maxTiles': setting(…) }`. */
export const commonSettings = {
  'model.dir': setting(z.string().min(1), {
    description: 'Folder of the model: a compiled bundle, or a checkpoint in Hugging Face layout.',
    example: 'models/demo',
  }),
  'grpc.host': setting(z.string().min(1), { default: '127.0.0.1', description: 'Address that gRPC listens on.' }),
  'grpc.port': setting(port, { default: 0, description: 'Port that gRPC listens on; 0 takes any free one.' }),
  'grpc.certFile': setting(text.optional(), {
    description: 'PEM file of the certificate that gRPC is served with; without one there is no TLS.',
    example: '/etc/tessera/tls/tls.crt',
  }),
  'grpc.keyFile': setting(text.optional(), {
    description: "PEM file of that certificate's key.",
    example: '/etc/tessera/tls/tls.key',
  }),
  'grpc.clientCaFile': setting(text.optional(), {
    description: 'PEM file of the CA whose certificates callers of gRPC must show (mutual TLS).',
    example: '/etc/tessera/tls/ca.crt',
  }),
  'grpc.certRefreshMs': setting(positive.max(2 ** 31 - 1), {
    default: 60_000,
    description: 'Pause after which certificates are read again, in milliseconds: renewed ones serve new connections.',
  }),
  'grpc.maxMessageBytes': setting(positive, {
    default: 4 * 1024 * 1024,
    description: 'Largest gRPC message taken or sent, in bytes.',
  }),
  'grpc.maxConcurrentStreams': setting(positive, {
    default: 1000,
    description: 'Calls that one connection may have open.',
  }),
  'grpc.keepaliveMs': setting(positive, {
    default: 30_000,
    description: 'Pause after which a silent connection is probed, in milliseconds.',
  }),
  'grpc.defaultDeadlineMs': setting(positive, {
    default: 120_000,
    description: 'Time a call may take if its caller sets no deadline, in milliseconds; at most grpc.maxDeadlineMs.',
  }),
  'grpc.maxDeadlineMs': setting(positive, {
    default: 600_000,
    description:
      'Time a call may take whatever its caller asks for, in milliseconds. It is also how long the streams of NATS keep ' +
      'what is on them: give all services of a deployment the same.',
  }),
  'grpc.maxStallMs': setting(positive, {
    default: 60_000,
    description:
      'Time a caller may take nothing of an answer that is being sent to it, in milliseconds; then its stream is reset. ' +
      'Longer than its slowest reader pauses, shorter than a place in the queue may be held for nobody.',
  }),
  'grpc.unknownFields': setting(z.enum(['refuse', 'ignore']).optional(), {
    description:
      'What becomes of a request with fields that the contract does not have: refuse ends it with REQUEST_INVALID, ' +
      'ignore counts it. By default services that anyone may call refuse, and an engine, which only gateways call, ' +
      'ignores: during a rolling upgrade a newer gateway may send more.',
  }),
  'metrics.host': setting(z.string().min(1), {
    default: '127.0.0.1',
    description: 'Address of the HTTP server for /metrics, /healthz and /readyz.',
  }),
  'metrics.port': setting(port, { default: 0, description: 'Port of that HTTP server; 0 takes any free one.' }),
  'log.level': setting(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']), {
    default: 'info',
    description: 'Least severe log line that is written.',
  }),
  'log.format': setting(z.enum(['json', 'text']), {
    default: 'json',
    description: 'json: one object a line, for programs. text: for people.',
  }),
  'traces.flushMs': setting(positive, {
    default: 2000,
    description:
      'Time that the spans which wait for their export have at the end of a drain, in milliseconds, where traces are exported. Keep it, with drain.graceMs, under the time that the process is given to end.',
  }),
  'drain.graceMs': setting(positive, {
    default: 30_000,
    description: 'Time that work in flight has to finish after SIGTERM, in milliseconds.',
  }),
};

export type CommonSettings = typeof commonSettings;
