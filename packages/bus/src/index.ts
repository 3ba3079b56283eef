export type { Announcer } from './announcements/announcements.js';
export { Bus, type DeliveryOptions, type QueuedJob } from './bus.js';
export type {
  BusLimits,
  BusObserver,
  BusOptions,
} from './bus-options.js';
export { type ConnectBusOptions, connectBus } from './connect-bus.js';
export { shownUrl } from './connection/bus-connection.js';
export type { BusCredentials } from './connection/bus-credentials.js';
export type { BusLogger } from './connection/bus-logger.js';
export type { BusTrace, TracedDelivery, TracedJob } from './connection/bus-trace.js';
export { EngineDirectory } from './engines/engine-directory.js';
export { type EngineListener, type EngineNews, EngineRoster, type KnownEngine } from './engines/engine-roster.js';
export type { ForeignEngine } from './engines/foreign-engines.js';
export type { JobOutcome } from './jobs/job-outcome.js';
export type { JobContext, WorkOptions } from './jobs/worker.js';
export { type NatsSettings, natsSettings } from './nats-settings.js';
export type { MediaHold } from './parts/media-store.js';
export type { TakenTensor } from './parts/tensor-store.js';
export type { FoundUpload, Upload } from './parts/upload-store.js';
export type { ProductInbox, ReceiveOptions } from './products/product-inbox.js';
export type { StageFailure } from './products/stage-failure.js';
export type { ReceivedTensor } from './products/tensor-assembly.js';
export type { Known } from './shards/shard-directory.js';
export { expertShards, layerShards } from './shards/shard-kinds.js';
export { applyStreams, type PlannedStreams, planStreams, type StreamSettings } from './streams/apply-streams.js';
export type { QueueDepth, QueueState, StreamState } from './streams/bus-states.js';
export type { PublishOptions } from './streams/publisher.js';
export type { SetupStep } from './streams/setup.js';
