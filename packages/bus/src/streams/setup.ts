import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { type ConsumerSpec, type StreamPlan, type StreamSpec, TesseraError, totalStreamBytes } from '@tessera/protocol';
import type { BusLimits } from '../bus-options.js';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';
import { isForbidden } from '../connection/is-forbidden.js';
import { memoryUsedUp } from './memory-used-up.js';

/** JetStream's codes that the type definitions of the client do not name. */
const streamNameInUse = 10058;
const subjectsOverlap = 10065;
const tooManyStreams = 10027;
const tooLargeStream = 10122;

type StreamSettings = Partial<StreamConfig> & { name: string };

function streamSettings(spec: StreamSpec): StreamSettings {
  return {
    name: spec.name,
    subjects: [...spec.subjects],
    retention: spec.retention === 'workqueue' ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
    storage: StorageType.Memory,
    discard: spec.discard === 'new' ? DiscardPolicy.New : DiscardPolicy.Old,
    num_replicas: spec.replicas,
    max_bytes: spec.maxBytes,
    max_msgs: spec.maxMessages,
    max_msgs_per_subject: spec.maxMessagesPerSubject,
    max_msg_size: spec.maxMessageBytes,
    max_age: nanos(spec.maxAgeMs),
    duplicate_window: nanos(spec.dedupWindowMs),
    allow_direct: true,
  };
}

function consumerSettings(spec: ConsumerSpec): Partial<ConsumerConfig> {
  return {
    durable_name: spec.durable,
    name: spec.durable,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    filter_subject: spec.filterSubject,
    ack_wait: nanos(spec.ackWaitMs),
    max_ack_pending: spec.maxAckPending,
    max_waiting: spec.maxWaitingPulls,
    // Unlimited on purpose: at its own limit the server would go silent about the job and leave it in the queue. The
    // workers count deliveries instead, and the first delivery beyond the limit ends the job with a failure.
    max_deliver: -1,
  };
}

/** The names of all the streams that the plan makes. */
export function plannedStreams(plan: StreamPlan): string[] {
  return plan.streams.map(({ name }) => name);
}

/** The settings that differ between what is and what is to be. */
function drift<T extends object>(wanted: T, actual: object): string[] {
  return (Object.keys(wanted) as (keyof T & string)[]).filter(
    (key) => JSON.stringify(wanted[key]) !== JSON.stringify((actual as T)[key] ?? defaultOf(wanted[key])),
  );
}

/** The server leaves out what is zero or false. */
function defaultOf(value: unknown): unknown {
  return typeof value === 'number' ? 0 : typeof value === 'boolean' ? false : undefined;
}

function isApiCode(reason: unknown, code: number): boolean {
  return reason instanceof JetStreamApiError && reason.code === code;
}

/** Whether what is there with other settings is changed, or left as whoever made it wants it. */
export type SetupMode = 'apply' | 'create';

/** What became of a stream or consumer: `kept` where it was there and was left. */
type SetupOutcome = 'made' | 'changed' | 'kept';

/** One step of a setup. */
export interface SetupStep {
  readonly what: 'stream' | 'consumer';
  /** Of a consumer, the name of its stream. */
  readonly stream: string;
  /** Of a consumer. */
  readonly durable?: string;
  readonly outcome: SetupOutcome;
}

async function ensureStream(manager: JetStreamManager, wanted: StreamSettings, mode: SetupMode): Promise<SetupOutcome> {
  // Two processes may set up at once: whoever loses the race finds the other's stream in the next round. The server
  // tells the loser that the name is in use or, where the other's stream appears between its two looks, that the
  // subjects overlap: with that very stream, or for good with one of another name.
  for (let round = 0; ; round++) {
    try {
      const { config } = await manager.streams.info(wanted.name);
      if (mode === 'create' || drift(wanted, config).length === 0) return 'kept';
      await manager.streams.update(wanted.name, { ...config, ...wanted });
      return 'changed';
    } catch (reason) {
      if (!isApiCode(reason, JetStreamApiCodes.StreamNotFound)) throw reason;
    }
    try {
      await manager.streams.add(wanted);
      return 'made';
    } catch (reason) {
      const raced = isApiCode(reason, streamNameInUse) || isApiCode(reason, subjectsOverlap);
      if (!raced || round >= 3) throw reason;
    }
  }
}

async function ensureConsumer(manager: JetStreamManager, spec: ConsumerSpec, mode: SetupMode): Promise<SetupOutcome> {
  const wanted = consumerSettings(spec);
  try {
    const { config } = await manager.consumers.info(spec.stream, spec.durable);
    if (mode === 'create' || drift(wanted, config).length === 0) return 'kept';
    await manager.consumers.update(spec.stream, spec.durable, wanted);
    return 'changed';
  } catch (reason) {
    if (!isApiCode(reason, JetStreamApiCodes.ConsumerNotFound)) throw reason;
    // Creating a consumer that is there with the same settings succeeds, so a race is no matter.
    await manager.consumers.add(spec.stream, wanted);
    return 'made';
  }
}

/**
 * Makes the server as the plan says: creates what is missing and, in the mode `apply`, updates what differs. Safe when many
 * processes do it at once, and when it was done before. A process applies its settings when it starts and only creates
 * afterwards: during a rollout the last to start has the word, and no reconnect of an old one takes it back.
 * @throws TesseraError CONFIG_INVALID when something there cannot become what is wanted, or memory does not suffice
 */
export async function applyStreamPlan(
  connection: BusConnection,
  plan: StreamPlan,
  mode: SetupMode,
  onStep: (step: SetupStep) => void = () => {},
): Promise<void> {
  const { manager, limits, url } = connection;
  let subject = 'its streams';
  try {
    // After a restart of the server a whole fleet does this at once: one list instead of a question for each stream.
    const there = new Set<string>();
    if (mode === 'create') for await (const name of manager.streams.names()) there.add(name);
    for (const settings of plan.streams.map(streamSettings)) {
      if (there.has(settings.name)) continue;
      subject = `stream ${settings.name}`;
      onStep({ what: 'stream', stream: settings.name, outcome: await ensureStream(manager, settings, mode) });
    }
    for (const spec of plan.consumers) {
      subject = `consumer ${spec.durable} of stream ${spec.stream}`;
      const outcome = await ensureConsumer(manager, spec, mode);
      onStep({ what: 'consumer', stream: spec.stream, durable: spec.durable, outcome });
    }
  } catch (reason) {
    if (isForbidden(reason)) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `NATS at ${url} does not let this user make or see ${subject}: ${messageOf(reason)}; docs/permissions.md lists what each user needs`,
        { cause: reason },
      );
    }
    if (!(reason instanceof JetStreamApiError)) {
      throw new TesseraError(
        'STAGE_UNAVAILABLE',
        `NATS at ${url} did not answer about ${subject}: ${messageOf(reason)}`,
        {
          cause: reason,
        },
      );
    }
    const help = whatToDo(reason.code, plan, limits);
    throw new TesseraError('CONFIG_INVALID', `NATS at ${url} refuses ${subject}: ${reason.message}; ${help}`, {
      cause: reason,
    });
  }
}

/** What whoever runs the server does about a refusal of a stream or consumer. */
function whatToDo(code: number, { streams }: StreamPlan, limits: BusLimits): string {
  if (memoryUsedUp.has(code)) {
    const bytes = totalStreamBytes(limits);
    return `all streams together need ${bytes} bytes: raise max_mem of the server, or of the account, or lower the limits`;
  }
  if (code === tooManyStreams) {
    return `a revision of a model takes ${streams.length} streams: raise the account's max_streams`;
  }
  if (code === tooLargeStream) {
    const bytes = Math.max(...streams.map((spec) => streamSettings(spec).max_bytes ?? 0));
    return `the largest stream takes ${bytes} bytes: raise the account's mem_max_stream_bytes, or lower the limits`;
  }
  return 'delete it if nothing uses it, or give this deployment another nats.prefix';
}
