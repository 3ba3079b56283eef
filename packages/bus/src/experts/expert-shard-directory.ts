import { type ExpertHoldings, ExpertShardStatus } from '@tessera/protocol';
import { hasUnknownFields } from '@tessera/service';
import { type Announcer, announce, followAnnouncements } from '../announcements/announcements.js';
import type { BusConnection } from '../connection/bus-connection.js';

/** A shard that announced itself. */
export type KnownShard = ExpertShardStatus & { readonly holdings: ExpertHoldings };

/** The expert shards of this revision that announce themselves over NATS. One that falls silent is forgotten. */
export class ExpertShardDirectory {
  readonly #connection: BusConnection;
  readonly #onChange: (shards: readonly KnownShard[]) => void;
  readonly #known = new Map<string, { status: KnownShard; heardAtMs: number }>();

  /** @param onChange told who is there, whenever one came, went or changed */
  constructor(connection: BusConnection, onChange: (shards: readonly KnownShard[]) => void, signal: AbortSignal) {
    this.#connection = connection;
    this.#onChange = onChange;
    if (signal.aborted) return;
    const listener = {
      hear: (payload: Uint8Array) => this.#hear(payload),
      forgetSilent: (nowMs: number) => this.#forgetSilent(nowMs),
      excuse: (nowMs: number) => {
        for (const entry of this.#known.values()) entry.heardAtMs = nowMs;
      },
    };
    followAnnouncements(connection, connection.subjects.experts(), listener, signal);
  }

  #hear(payload: Uint8Array): void {
    let status: ExpertShardStatus;
    try {
      status = ExpertShardStatus.decode(payload);
    } catch {
      this.#connection.log.warn({}, 'a corrupt announcement of an expert shard was dropped');
      return;
    }
    const { shardId, holdings } = status;
    if (hasUnknownFields(status)) this.#connection.observer.unknownFields?.('experts');
    if (shardId === '' || holdings === undefined) return;
    const before = this.#known.get(shardId)?.status;
    this.#known.set(shardId, { status: { ...status, holdings }, heardAtMs: performance.now() });
    if (before === undefined || !isSame(before, status)) this.#tell();
  }

  #forgetSilent(nowMs: number): void {
    const { log, limits } = this.#connection;
    const silent = [...this.#known].filter(([, { heardAtMs }]) => nowMs - heardAtMs > limits.silenceMs);
    for (const [shardId, { status }] of silent) {
      this.#known.delete(shardId);
      log.info({ shardId, group: status.group }, 'an expert shard fell silent and was forgotten');
    }
    if (silent.length > 0) this.#tell();
  }

  #tell(): void {
    this.#onChange([...this.#known.values()].map(({ status }) => status));
  }
}

function isSame(before: KnownShard, now: ExpertShardStatus): boolean {
  return Buffer.from(ExpertShardStatus.encode(before).finish()).equals(ExpertShardStatus.encode(now).finish());
}

/** Announces until the signal aborts; the last word is that the shard drains. */
export function announceExpertShard(
  connection: BusConnection,
  status: () => KnownShard,
  signal: AbortSignal,
): Announcer {
  const encoded = (what: KnownShard) => ExpertShardStatus.encode(what).finish();
  const announcement = {
    subject: connection.subjects.experts(),
    status: () => encoded(status()),
    lastWord: () => {
      const last = status();
      return encoded({ ...last, holdings: { ...last.holdings, draining: true } });
    },
  };
  return announce(connection, announcement, signal);
}
