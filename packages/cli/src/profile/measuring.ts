import type { BundleManifest } from '@tessera/bundle';
import type { ChannelSettings } from '@tessera/grpc';
import type { Asker } from './asker.js';
import type { DeploymentAddresses } from './deployment.js';
import type { Meter } from './meter.js';

/** What all measurements need. */
export interface Measuring {
  readonly addresses: DeploymentAddresses;
  /** How each service's gRPC is called. */
  readonly channel: ChannelSettings;
  readonly manifest: BundleManifest;
  readonly asker: Asker;
  readonly meter: Meter;
  readonly signal: AbortSignal;
  /** A number of repetitions, or a share of it for a quick profile; at least 1. */
  times(count: number): number;
  /** Says what is measured now. */
  tell(what: string): void;
}
