import { JetStreamApiError } from '@nats-io/jetstream';
import { abortable } from '@tessera/flow';
import { parts as partStreams, type StoredParts, TesseraError } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';
import type { Publisher, PublishOptions } from '../streams/publisher.js';

/** Parts in flight at once: enough to hide the round trip, few enough not to crowd out others. */
const inFlight = 4;

export interface PutOptions extends PublishOptions {
  /** One subject token, never used for other bytes within the dedup window: a second put under it stores nothing. */
  readonly name: string;
}

/**
 * Bytes too large for a message, for a receiver that is not known yet: cut into parts on one of the streams of parts, each
 * found again by its sequence number. No consumer and no purge: a part is read and deleted by its number.
 */
export class PartStore {
  private nextShard = Math.floor(Math.random() * 1000);

  constructor(
    private readonly connection: BusConnection,
    private readonly publisher: Publisher,
  ) {}

  /**
   * Stores the bytes; waits while the stream is full.
   * @throws TesseraError DEADLINE_EXCEEDED, CANCELLED
   */
  async put(bytes: Uint8Array, options: PutOptions): Promise<StoredParts> {
    const { limits } = this.connection;
    const shard = this.nextShard++ % limits.shards;
    const { name } = options;
    const count = Math.max(1, Math.ceil(bytes.length / limits.partBytes));
    const sequences = new Array<bigint>(count);
    try {
      await this.putParts(bytes, shard, sequences, options);
    } catch (reason) {
      // What was stored of it by then is nobody's, unless it is tried again: under the same name, and the server would take
      // the parts for duplicates of those that were removed.
      if (endsForGood(reason)) await this.purge({ shard, name, sequences: [] });
      throw reason;
    }
    return { shard, name, sequences };
  }

  private async putParts(bytes: Uint8Array, shard: number, sequences: bigint[], options: PutOptions): Promise<void> {
    const { limits, subjects } = this.connection;
    const { name } = options;
    await inBatches(sequences.length, async (index) => {
      const payload = bytes.subarray(index * limits.partBytes, (index + 1) * limits.partBytes);
      const subject = subjects.part(shard, name, index);
      const stream = subjects.shard(partStreams, shard);
      const { sequence } = await this.publisher.publish(
        { kind: partStreams.name, stream, subject, id: subject, attempt: 0, payload },
        options,
      );
      sequences[index] = BigInt(sequence);
    });
  }

  /**
   * The bytes, as many as there must be.
   * @throws TesseraError STAGE_UNAVAILABLE (retryable) when parts are not there (any more), TENSOR_INVALID when there are
   * more parts or bytes than there can be; the signal's reason
   */
  async get(stored: StoredParts, size: number, signal: AbortSignal): Promise<Uint8Array> {
    const { manager, subjects } = this.connection;
    const { shard, name, sequences } = stored;
    // A part holds at least one byte, and a process may have been given other limits than the one that stored it.
    if (sequences.length < 1 || sequences.length > Math.max(1, size)) {
      throw new TesseraError('TENSOR_INVALID', `${size} bytes in ${sequences.length} parts`);
    }
    const stream = subjects.shard(partStreams, shard);
    const parts = await inBatches(sequences.length, async (index) => {
      await this.connection.waitOnline(signal);
      const message = await abortable(
        manager.direct.getMessage(stream, { seq: Number(sequences[index]) }),
        signal,
      ).catch((reason: unknown) => {
        signal.throwIfAborted();
        throw gone(name, index, messageOf(reason), reason);
      });
      // A server that was restarted has given the number to another message.
      if (message === null || message.subject !== subjects.part(shard, name, index))
        throw gone(name, index, 'not there');
      return message.data;
    });
    const bytes = new Uint8Array(size);
    let offset = 0;
    for (const part of parts) {
      if (offset + part.length > size)
        throw new TesseraError('TENSOR_INVALID', `the parts hold more than ${size} bytes`);
      bytes.set(part, offset);
      offset += part.length;
    }
    if (offset !== size) throw new TesseraError('TENSOR_INVALID', `the parts hold ${offset} bytes, not ${size}`);
    return bytes;
  }

  /**
   * Deletes the parts, if they were stored, or read whole, in the connection's life that is given. What cannot be deleted
   * goes when it is old.
   */
  async drop({ shard, sequences }: StoredParts, epoch: number): Promise<void> {
    const { manager, subjects, log } = this.connection;
    const stream = subjects.shard(partStreams, shard);
    await inBatches(sequences.length, async (index) => {
      if (!this.connection.isCurrent(epoch)) return;
      await manager.streams.deleteMessage(stream, Number(sequences[index]), false).catch((reason: unknown) => {
        // It is gone already.
        if (reason instanceof JetStreamApiError) return;
        log.debug({ stream, error: messageOf(reason) }, 'a part was not deleted; it goes when it is old');
      });
    });
  }

  /** Removes the parts by their name, whoever stored them: where nobody has read, and so verified, their numbers. */
  async purge({ shard, name }: StoredParts): Promise<void> {
    const { manager, subjects, log } = this.connection;
    if (!this.connection.isOnline) return;
    const stream = subjects.shard(partStreams, shard);
    await manager.streams.purge(stream, { filter: subjects.partsOf(shard, name) }).catch((reason: unknown) => {
      log.debug({ stream, error: messageOf(reason) }, 'parts were not removed; they go when they are old');
    });
  }
}

/** Whether nobody will try again for this request. */
export function endsForGood(reason: unknown): boolean {
  const { code } = TesseraError.from(reason);
  return code === 'CANCELLED' || code === 'DEADLINE_EXCEEDED';
}

function gone(name: string, index: number, why: string, cause?: unknown): TesseraError {
  return new TesseraError('STAGE_UNAVAILABLE', `part ${index} of ${name} cannot be read: ${why}`, { cause });
}

/**
 * Runs so many calls, a few at a time, and gives their results in order. After a failure none is begun, and it is thrown
 * once those under way have ended.
 */
async function inBatches<T>(count: number, call: (index: number) => Promise<T>): Promise<T[]> {
  const results = new Array<T>(count);
  let next = 0;
  const runners = Array.from({ length: Math.min(inFlight, count) }, async () => {
    try {
      for (let index = next++; index < count; index = next++) results[index] = await call(index);
    } catch (reason) {
      next = count;
      throw reason;
    }
  });
  const failed = (await Promise.allSettled(runners)).find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return results;
}
