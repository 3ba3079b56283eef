export { Bus, type PublishJobOptions, type QueuedJob } from './bus.js';
export { shownUrl } from './bus-connection.js';
export type { BusCredentials } from './bus-credentials.js';
export type {
  BusLimits,
  BusLogger,
  BusObserver,
  BusOptions,
  JobOutcome,
} from './bus-options.js';
export type { QueueDepth, QueueState, StreamState } from './bus-states.js';
export type { BusTrace, TracedDelivery, TracedJob } from './bus-trace.js';
export type { DrawingInbox } from './drawing-inbox.js';
export { type Announcer, EngineDirectory } from './engine-directory.js';
export { type EngineListener, type EngineNews, EngineRoster, type KnownEngine } from './engine-roster.js';
export type { JobMessage, JobMessages } from './job-codec.js';
export type { MediaHold } from './media-store.js';
export { type NatsServer, type NatsServerOptions, startNatsServer } from './nats-server.js';
export type { PublishOptions } from './publisher.js';
export type { StageFailure } from './stage-failure.js';
export type { PublishTensorOptions, TakenTensor } from './tensor-store.js';
export type { TileTokens, TokenInbox, TokensOptions } from './token-inbox.js';
export type { JobContext, WorkOptions } from './worker.js';
