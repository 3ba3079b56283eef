import { hasUnknownFields } from '@tessera/service';
import { type Announcer, announce, followAnnouncements } from '../announcements/announcements.js';
import type { BusConnection } from '../connection/bus-connection.js';
import type { ShardKind, ShardStatus } from './shard-kinds.js';

/** A shard that announced itself. */
export type Known<Status extends ShardStatus> = Status & { readonly holdings: NonNullable<Status['holdings']> };

/** The shards of a kind, of this revision, that announce themselves over NATS. One that falls silent is forgotten. */
export class ShardDirectory<Status extends ShardStatus> {
  readonly #connection: BusConnection;
  readonly #kind: ShardKind<Status>;
  readonly #onChange: (shards: readonly Known<Status>[]) => void;
  readonly #known = new Map<string, { status: Known<Status>; heardAtMs: number }>();

  /** @param onChange told who is there, whenever one came, went or changed */
  constructor(
    connection: BusConnection,
    kind: ShardKind<Status>,
    onChange: (shards: readonly Known<Status>[]) => void,
    signal: AbortSignal,
  ) {
    this.#connection = connection;
    this.#kind = kind;
    this.#onChange = onChange;
    if (signal.aborted) return;
    const listener = {
      hear: (payload: Uint8Array) => this.#hear(payload),
      forgetSilent: (nowMs: number) => this.#forgetSilent(nowMs),
      excuse: (nowMs: number) => {
        for (const entry of this.#known.values()) entry.heardAtMs = nowMs;
      },
    };
    followAnnouncements(connection, kind.subject(connection.subjects), listener, signal);
  }

  #hear(payload: Uint8Array): void {
    const { codec, name, inWords } = this.#kind;
    let status: Status;
    try {
      status = codec.decode(payload);
    } catch {
      this.#connection.log.warn({}, `a corrupt announcement of ${inWords} was dropped`);
      return;
    }
    if (hasUnknownFields(status)) this.#connection.observer.unknownFields?.(name);
    const { shardId } = status;
    if (shardId === '' || status.holdings === undefined) return;
    const before = this.#known.get(shardId)?.status;
    this.#known.set(shardId, { status: status as Known<Status>, heardAtMs: performance.now() });
    if (before === undefined || !this.#isSame(before, status)) this.#tell();
  }

  #forgetSilent(nowMs: number): void {
    const { log, limits } = this.#connection;
    const silent = [...this.#known].filter(([, { heardAtMs }]) => nowMs - heardAtMs > limits.silenceMs);
    for (const [shardId, { status }] of silent) {
      this.#known.delete(shardId);
      const { address } = status;
      log.info(
        { shardId, address, ...this.#kind.facts(status) },
        `${this.#kind.inWords} fell silent and was forgotten`,
      );
    }
    if (silent.length > 0) this.#tell();
  }

  #tell(): void {
    this.#onChange([...this.#known.values()].map(({ status }) => status));
  }

  #isSame(before: Status, now: Status): boolean {
    const { codec } = this.#kind;
    return Buffer.from(codec.encode(before).finish()).equals(codec.encode(now).finish());
  }
}

/** Announces until the signal aborts; the last word is that the shard drains. */
export function announceShard<Status extends ShardStatus>(
  connection: BusConnection,
  { subject, codec }: ShardKind<Status>,
  status: () => Known<Status>,
  signal: AbortSignal,
): Announcer {
  const announcement = {
    subject: subject(connection.subjects),
    status: () => codec.encode(status()).finish(),
    lastWord: () => {
      const last = status();
      return codec.encode({ ...last, holdings: { ...last.holdings, draining: true } }).finish();
    },
  };
  return announce(connection, announcement, signal);
}
