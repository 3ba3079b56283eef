import type { GrpcService } from '../grpc/grpc-service.js';
import type { CommonSettings } from '../settings/common-settings.js';
import type { Settings, SettingsSchema } from '../settings/setting.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Readiness } from './readiness.js';

/** A schema that has the settings of every service, and maybe more. */
export type ServiceSettings = SettingsSchema & CommonSettings;

/** What a service gets to start with. */
export interface ServiceContext<S extends ServiceSettings> {
  readonly name: string;
  readonly settings: Settings<S>;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Where the service says what its start waits for, and what must hold for it to take work. */
  readonly readiness: Readiness;
  /** Aborts when the drain begins: take no new work, finish what is running. */
  readonly drain: AbortSignal;
  /** Aborts when the drain has taken all the time that it may: what is running is cut off in a moment; hand it over. */
  readonly overdue: AbortSignal;
}

/** What a service hands back when it has started. */
export interface ServiceParts {
  readonly services: readonly GrpcService[];
  /** Called once the gRPC server listens, with its address, such as `127.0.0.1:40001`; before `ready` is awaited. */
  listening?(grpcAddress: string): void;
  /** The service takes work once this resolves; at once if absent. A rejection ends the service. */
  readonly ready?: Promise<void>;
  /** Called after the drain signal: finish or hand over what is in flight, then free everything. */
  stop(): Promise<void>;
}

/** A service, as `runService` and `startService` take it. */
export interface Service<S extends ServiceSettings> {
  /** One word: encoder, connector, llm, generator, gateway. */
  readonly name: string;
  readonly settings: S;
  start(context: ServiceContext<S>): Promise<ServiceParts>;
}
