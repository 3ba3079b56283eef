import type { ServerCredentials, ServerInterceptor } from '@grpc/grpc-js';
import { readDescriptors } from '@tessera/protocol';
import { type CompatServiceDefinition, createServer, type Server, type ServiceImplementation } from 'nice-grpc';
import { errorDetailsServerMiddleware } from 'nice-grpc-error-details';
import { ServerReflection } from 'nice-grpc-server-reflection';
import { listenError } from '../service/listen-error.js';
import type { CommonSettings } from '../settings/common-settings.js';
import type { Settings } from '../settings/setting.js';
import type { Logger } from '../telemetry/log.js';
import { counterMetric } from '../telemetry/metric.js';
import type { Metrics } from '../telemetry/metrics.js';
import { unknownFieldsTotal } from '../unknown-fields.js';
import type { CallFacts } from './call-facts.js';
import { callFrame } from './call-frame.js';
import { CallObserver } from './call-observer.js';
import { CallRecords } from './call-records.js';
import { endAtDrain } from './end-at-drain.js';
import { errorMiddleware } from './error-middleware.js';
import { exchangesOf, withKeptEncoders } from './exchange-methods.js';
import { fullName, type GrpcService } from './grpc-service.js';
import { Health, HealthDefinition } from './health.js';
import { methodLabels } from './method-labels.js';
import { reflectionServices } from './reflection-services.js';
import { serveExchanges } from './serve-exchange.js';
import { superviseCalls } from './supervise-calls.js';
import { serverCredentials } from './tls-credentials.js';
import { ignore, refuse } from './watch-fields.js';

const grpcStreamsResetTotal = counterMetric('tessera_grpc_streams_reset_total', {
  unit: 'count',
  help: 'Streams reset because their caller read nothing: past the deadline, or for too long (stalled).',
  labels: ['service', 'method', 'reason'],
  from: 'every service',
});

export interface GrpcServerOptions {
  readonly name: string;
  readonly services: readonly GrpcService[];
  readonly settings: Settings<CommonSettings>;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly drain: AbortSignal;
}

/** The gRPC side of a service: its own services with every middleware, health and reflection. */
export class GrpcServer {
  readonly health: Health;
  readonly #server: Server<object>;
  readonly #observer: CallObserver;
  readonly #settings: Settings<CommonSettings>;
  readonly #credentials: ServerCredentials | undefined;

  constructor(options: GrpcServerOptions) {
    const { name, services, settings, log, metrics, drain } = options;
    this.#settings = settings;
    this.#credentials = credentialsFrom(settings, log);
    this.health = new Health(services.map(fullName));
    const records = new CallRecords();
    const ending = new Set(services.filter(({ staysOpen }) => !staysOpen).map(fullName));
    const doors = new Map<string, NonNullable<GrpcService['onArrival']>>();
    for (const service of services)
      if (service.onArrival !== undefined) doors.set(fullName(service), service.onArrival);
    const observer = new CallObserver(metrics);
    this.#observer = observer;
    const resets = metrics.counter(grpcStreamsResetTotal);
    const supervisor = superviseCalls({
      records,
      limits: {
        defaultDeadlineMs: settings['grpc.defaultDeadlineMs'],
        maxDeadlineMs: settings['grpc.maxDeadlineMs'],
        maxStallMs: settings['grpc.maxStallMs'],
      },
      mustEnd: (path) => ending.has(methodLabels(path).service),
      onReset: (path, reason) => {
        resets.inc({ ...methodLabels(path), reason });
        log.warn({ rpc: path.slice(1), reason }, 'a stream that its caller does not read was reset');
      },
      onArrival: (path) => doors.get(methodLabels(path).service)?.(path),
      onRefused: (path, error) => {
        observer.refused(path, error);
        log.debug({ code: error.code, rpc: path.slice(1), reason: error.message }, 'call refused');
      },
    });
    const unknown = metrics.counter(unknownFieldsTotal);
    const policies = { refuse, ignore: ignore((path) => unknown.inc({ message: path.slice(1) })) };
    const policyOf = ({ callers }: GrpcService) =>
      policies[settings['grpc.unknownFields'] ?? (callers === 'anyone' ? 'refuse' : 'ignore')];
    const exchanges = new Map(services.flatMap((service) => exchangesOf(service, policyOf(service))));
    const exchanging = serveExchanges({ name, log, observer, records, drain, exchanges });
    const server = createServer(channelOptions(settings, [supervisor, exchanging])).use(errorDetailsServerMiddleware);
    server.with(errorMiddleware(name, log, records)).add(HealthDefinition, this.health.implementation);
    const reflection = ServerReflection(readDescriptors(), [...services.map(fullName), HealthDefinition.fullName]);
    for (const definition of reflectionServices) server.with(endAtDrain(drain)).add(definition, reflection);
    for (const service of services) {
      const { implementation } = service;
      const definition = withKeptEncoders(service);
      const frame = callFrame({ name, log, observer, records, drain, onUnknownFields: policyOf(service) });
      server.with(frame).add(definition, implementation as ServiceImplementation<CompatServiceDefinition, CallFacts>);
    }
    this.#server = server;
  }

  /**
   * @returns the address, such as `127.0.0.1:40001`
   * @throws TesseraError CONFIG_INVALID if the address is taken or is not of this host
   */
  async listen(): Promise<string> {
    const { 'grpc.host': host, 'grpc.port': port } = this.#settings;
    const bracketed = host.includes(':') ? `[${host}]` : host;
    try {
      return `${bracketed}:${await this.#server.listen(`${bracketed}:${port}`, this.#credentials)}`;
    } catch (cause) {
      throw listenError('grpc', { host, port }, cause);
    }
  }

  /** What is still open, for the log of a drain that ran out of time. */
  openCalls(): string[] {
    return this.#observer.open.describe();
  }

  /** Takes no connection any more and resolves when the last call has ended. */
  async shutdown(): Promise<void> {
    await this.#server.shutdown();
  }

  /** Cuts what is left. */
  forceShutdown(): void {
    this.#server.forceShutdown();
  }
}

function credentialsFrom(settings: Settings<CommonSettings>, log: Logger): ServerCredentials | undefined {
  const files = {
    certFile: settings['grpc.certFile'],
    keyFile: settings['grpc.keyFile'],
    caFile: settings['grpc.clientCaFile'],
  };
  return serverCredentials(files, {
    refreshMs: settings['grpc.certRefreshMs'],
    onTrouble: (error) =>
      log.error({ reason: error.message }, 'renewed certificates cannot be used; the old ones stay'),
  });
}

function channelOptions(settings: Settings<CommonSettings>, interceptors: ServerInterceptor[]) {
  return {
    interceptors,
    'grpc.max_receive_message_length': settings['grpc.maxMessageBytes'],
    'grpc.max_send_message_length': settings['grpc.maxMessageBytes'],
    'grpc.max_concurrent_streams': settings['grpc.maxConcurrentStreams'],
    'grpc.keepalive_time_ms': settings['grpc.keepaliveMs'],
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.so_reuseport': 0,
  };
}
