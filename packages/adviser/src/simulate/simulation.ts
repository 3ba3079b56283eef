import type { Profile, StageName } from '../profile/profile.js';
import type { Trace } from '../trace/trace.js';
import type { Scaling } from './scaling.js';

/** What is simulated. */
export interface SimulationOptions {
  readonly trace: Trace;
  readonly profile: Profile;
  /** Of each stage, at the beginning. */
  readonly replicas: Readonly<Partial<Record<StageName, number>>>;
  /** Stages whose replicas follow the load. */
  readonly scaling?: Readonly<Partial<Record<StageName, Scaling>>>;
  /** All replicas share so many cores of one machine; absent: each has its own. */
  readonly machineCores?: number;
  /** Of what is left to chance: which two engines a request may go to. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/** What a stage had to do. */
export interface StageResult {
  /** Hours of all replicas together. */
  readonly replicaHours: number;
  readonly mostReplicas: number;
  /** Share of its replicas' time in which it computed. */
  readonly utilisation: number;
  /** Milliseconds that a request waited for it in the mean, in queues and for batches or slots. */
  readonly waitMs: number;
}
