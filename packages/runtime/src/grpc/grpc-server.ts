import { readDescriptors } from '@tessera/protocol';
import { type CompatServiceDefinition, createServer, type Server, type ServiceImplementation } from 'nice-grpc';
import type { ServerMiddleware } from 'nice-grpc-common';
import { errorDetailsServerMiddleware } from 'nice-grpc-error-details';
import { ServerReflection, ServerReflectionService } from 'nice-grpc-server-reflection';
import { listenError } from '../service/listen-error.js';
import type { CommonSettings } from '../settings/common-settings.js';
import type { Settings } from '../settings/setting.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { CallFacts } from './call-facts.js';
import { passDeadlineOn } from './deadline-header.js';
import { deadlineMiddleware } from './deadline-middleware.js';
import { endAtDrain, refuseWhileDraining } from './drain-middleware.js';
import { errorMiddleware } from './error-middleware.js';
import { fullName, type GrpcService } from './grpc-service.js';
import { Health, HealthDefinition } from './health.js';
import { observeMiddleware } from './observe-middleware.js';
import { OpenCalls } from './open-calls.js';
import { unknownFieldsMiddleware } from './unknown-fields-middleware.js';

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
  readonly #openCalls = new OpenCalls();
  readonly #settings: Settings<CommonSettings>;

  constructor(options: GrpcServerOptions) {
    const { name, services, settings, log, metrics, drain } = options;
    this.#settings = settings;
    this.health = new Health(services.map(fullName));
    const server = createServer(channelOptions(settings)).use(errorDetailsServerMiddleware);
    server.with(errorMiddleware(name, log)).add(HealthDefinition, this.health.implementation);
    server
      .with(endAtDrain(drain))
      .add(
        ServerReflectionService,
        ServerReflection(readDescriptors(), [...services.map(fullName), HealthDefinition.fullName]),
      );
    for (const { definition, implementation } of services) {
      server
        .with(observeMiddleware(metrics, this.#openCalls))
        .with(errorMiddleware(name, log))
        .with(refuseWhileDraining(name, drain))
        .with(
          deadlineMiddleware({
            defaultMs: settings['grpc.defaultDeadlineMs'],
            maximumMs: settings['grpc.maxDeadlineMs'],
          }),
        )
        .with(logMiddleware(log))
        .with(unknownFieldsMiddleware)
        .add(definition, implementation as ServiceImplementation<CompatServiceDefinition, CallFacts>);
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
      return `${bracketed}:${await this.#server.listen(`${bracketed}:${port}`)}`;
    } catch (cause) {
      throw listenError('grpc', { host, port }, cause);
    }
  }

  /** What is still open, for the log of a drain that ran out of time. */
  openCalls(): string[] {
    return this.#openCalls.describe();
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

function logMiddleware(log: Logger): ServerMiddleware<Pick<CallFacts, 'log'>> {
  return async function* withLog(call, context) {
    return yield* call.next(call.request, { ...context, log: log.child({ rpc: call.method.path.slice(1) }) });
  };
}

function channelOptions(settings: Settings<CommonSettings>) {
  return {
    interceptors: [passDeadlineOn],
    'grpc.max_receive_message_length': settings['grpc.maxMessageBytes'],
    'grpc.max_send_message_length': settings['grpc.maxMessageBytes'],
    'grpc.max_concurrent_streams': settings['grpc.maxConcurrentStreams'],
    'grpc.keepalive_time_ms': settings['grpc.keepaliveMs'],
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.so_reuseport': 0,
  };
}
