export { Bus, type PublishJobOptions, type QueueDepth } from './bus.js';
export { shownUrl } from './bus-connection.js';
export {
  type BusLimits,
  type BusLogger,
  type BusObserver,
  type BusOptions,
  type BusTrace,
  defaultBusLimits,
  type JobOutcome,
} from './bus-options.js';
export { type Announcer, EngineDirectory, type EnginesListener } from './engine-directory.js';
export type { JobMessage, JobMessages } from './job-codec.js';
export { findNatsServer, type NatsServer, type NatsServerOptions, startNatsServer } from './nats-server.js';
export type { PublishOptions } from './publisher.js';
export type { PublishTensorOptions, StageFailure, TileTokens, TokensOptions } from './tensor-stream.js';
export type { JobContext, WorkOptions } from './worker.js';
