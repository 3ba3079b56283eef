import { AckPolicy, type ConsumerMessages, DeliverPolicy, type JsMsg, ReplayPolicy } from '@nats-io/jetstream';
import { nanos, nuid } from '@nats-io/transport-node';
import { sleep } from '../abort.js';
import type { BusConnection } from './bus-connection.js';
import { messageOf } from './bus-connection.js';

/** Messages asked for ahead: at most this many parts of 512 KiB lie in memory before they are read. */
const readAhead = 16;
/** A consumer whose reader died is removed by the server after this: twice the life of one pull. */
const inactiveMs = 20_000;
const retryDelayMs = 250;

/**
 * The messages under a subject filter of a stream, from the oldest, in the stream's order, and new ones as they come.
 *
 * After a gap, a lost connection or a lost consumer it begins again from the oldest message: a restarted server counts
 * from 1 again, so going on after the last number that was seen (as the client library's ordered consumer does) would
 * skip what the new stream holds. The caller keeps the first copy of what it sees twice.
 *
 * Ends when the signal aborts; throws TesseraError DRAINING when this process closes the connection. The consumer is deleted whenever the iteration ends, in whatever way.
 */
export async function* readStream(
  connection: BusConnection,
  stream: string,
  filter: string,
  signal: AbortSignal,
  restore: (signal: AbortSignal) => Promise<void>,
): AsyncGenerator<JsMsg, void> {
  while (!signal.aborted) {
    try {
      await connection.waitOnline(signal);
      yield* readOnce(connection, stream, filter, signal);
    } catch (reason) {
      if (signal.aborted) return;
      if (connection.nc.isClosed()) throw connection.closedError(reason);
      connection.log.debug({ stream, filter, error: messageOf(reason) }, 'reading the stream again from its start');
      try {
        await sleep(retryDelayMs, signal);
        if (connection.isOnline) await restore(signal);
      } catch (failure) {
        if (signal.aborted) return;
        connection.log.debug({ stream, error: messageOf(failure) }, 'the streams are not back yet');
      }
    }
  }
}

/** One consumer's worth: returns when the consumer must be made anew. */
async function* readOnce(
  connection: BusConnection,
  stream: string,
  filter: string,
  signal: AbortSignal,
): AsyncGenerator<JsMsg, void> {
  const { manager, js } = connection;
  const name = `read_${nuid.next()}`;
  let messages: ConsumerMessages | undefined;
  const stop = () => messages?.stop();
  const forgetReconnect = connection.onReconnect(stop);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const info = await manager.consumers.add(stream, {
      name,
      filter_subject: filter,
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.All,
      replay_policy: ReplayPolicy.Instant,
      inactive_threshold: nanos(inactiveMs),
      mem_storage: true,
      num_replicas: 1,
    });
    if (signal.aborted) return;
    messages = await js.consumers.getConsumerFromInfo(info).consume({
      max_messages: readAhead,
      expires: 10_000,
      idle_heartbeat: 1000,
      abort_on_missing_resource: true,
    });
    let expected = 1;
    for await (const message of messages) {
      if (message.info.deliverySequence !== expected++) return;
      yield message;
      if (signal.aborted) return;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    forgetReconnect();
    messages?.stop();
    if (connection.isOnline) await manager.consumers.delete(stream, name).catch(() => {});
  }
}
