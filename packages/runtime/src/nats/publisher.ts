import { JetStreamApiError } from '@nats-io/jetstream';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import {
  type JobKey,
  jobRoutes,
  messageHeaders,
  messageId,
  type StreamKind,
  type SubjectParts,
  TesseraError,
} from '@tessera/protocol';
import { sleep } from '../abort.js';
import { remainingMs, signalWithDeadline } from '../deadline.js';
import type { BusConnection } from './bus-connection.js';
import { messageOf } from './bus-connection.js';

export interface PublishOptions {
  /** Unix ms on the gateway's clock. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export interface OutgoingMessage {
  readonly kind: StreamKind;
  readonly key: JobKey;
  readonly tile: number;
  readonly part: SubjectParts['part'];
  /** Makes the message id differ where several messages share a subject. */
  readonly idPart?: string;
  readonly payload: Uint8Array;
}

/** Stream limits that were reached: the store refused (10077), or memory of the account or the server is used up. */
const fullCodes = new Set([10023, 10028, 10047, 10077]);
const messageTooLarge = 10054;
/** JetStream is starting (10008), or the stream is not there again yet (10059). */
const passingCodes = new Set([10008, 10059]);
/** How long one try may take; a lost acknowledgement costs no more than that, and the id makes a second try safe. */
const tryMs = 3000;

/** Puts messages on the streams: never too large, never later than the deadline, never twice. */
export class Publisher {
  constructor(
    private readonly connection: BusConnection,
    /** Makes the streams again if the server lost them. */
    private readonly restore: (signal: AbortSignal) => Promise<void>,
  ) {}

  /**
   * Publishes and waits for the acknowledgement. While NATS is away it waits for it; while the stream is full it waits
   * up to `queueWaitMs` for jobs, and until the deadline for products, whose makers have nothing better to do.
   * @throws TesseraError MESSAGE_TOO_LARGE, QUEUE_FULL, DEADLINE_EXCEEDED, CANCELLED
   */
  async publish(message: OutgoingMessage, options: PublishOptions): Promise<void> {
    const { subjects, limits, observer } = this.connection;
    const { kind, key, payload } = message;
    if (payload.length > limits.maxMessageBytes) {
      throw new TesseraError(
        'MESSAGE_TOO_LARGE',
        `a message of ${payload.length} bytes for ${subjects.stream(kind)} is over the limit of ${limits.maxMessageBytes} bytes`,
      );
    }
    const at = { requestId: key.requestId, item: key.item, tile: message.tile, part: message.part };
    const subject = subjects.message(kind, at);
    const header = this.headers(message, options.deadlineMs);
    using until = signalWithDeadline(options.signal, options.deadlineMs + limits.clockMarginMs);
    const startedAt = performance.now();
    for (let fullTries = 0; ; ) {
      await this.waitOnline(until.signal, options);
      try {
        await this.connection.js.publish(subject, payload, {
          headers: header,
          timeout: Math.max(1, Math.min(tryMs, remainingMs(options.deadlineMs + limits.clockMarginMs))),
        });
        observer.published?.(kind, payload.length);
        return;
      } catch (reason) {
        if (reason instanceof JetStreamApiError) {
          if (fullCodes.has(reason.code)) {
            if (fullTries === 0) observer.queueFull?.(kind);
            await this.waitForRoom(kind, fullTries++, performance.now() - startedAt, until.signal, reason);
            continue;
          }
          if (!passingCodes.has(reason.code)) throw this.refusal(kind, payload, reason);
        }
        // A lost connection, a missing stream, a lost acknowledgement: gone in a moment.
        this.connection.log.debug({ subject, error: messageOf(reason) }, 'publishing again');
        await this.pause(100, until.signal);
        if (this.connection.isOnline) await this.restoreStreams(until.signal);
      }
    }
  }

  private refusal(kind: StreamKind, payload: Uint8Array, reason: JetStreamApiError): TesseraError {
    const stream = this.connection.subjects.stream(kind);
    return new TesseraError(
      reason.code === messageTooLarge ? 'MESSAGE_TOO_LARGE' : 'STAGE_UNAVAILABLE',
      `stream ${stream} refuses a message of ${payload.length} bytes: ${reason.message}`,
      { cause: reason },
    );
  }

  /** That the streams are not back yet is no reason to give up; that they can never be is. */
  private async restoreStreams(signal: AbortSignal): Promise<void> {
    try {
      await this.restore(signal);
    } catch (reason) {
      if (signal.aborted) throw asTesseraError(reason);
      if (reason instanceof TesseraError && reason.code === 'CONFIG_INVALID') throw reason;
    }
  }

  private async waitOnline(signal: AbortSignal, options: PublishOptions): Promise<void> {
    try {
      await this.connection.waitOnline(signal);
    } catch (reason) {
      if (options.signal?.aborted || this.connection.isOnline || this.connection.nc.isClosed()) {
        throw asTesseraError(reason);
      }
      throw new TesseraError(
        'DEADLINE_EXCEEDED',
        `the deadline passed while NATS at ${this.connection.url} could not be reached`,
        { cause: reason },
      );
    }
  }

  private async waitForRoom(
    kind: StreamKind,
    tries: number,
    waitedMs: number,
    signal: AbortSignal,
    reason: JetStreamApiError,
  ): Promise<void> {
    const { limits, subjects } = this.connection;
    if (kind in jobRoutes && waitedMs >= limits.queueWaitMs) {
      const { stage } = jobRoutes[kind as keyof typeof jobRoutes];
      throw new TesseraError(
        'QUEUE_FULL',
        `the queue of the ${stage} (${subjects.stream(kind)}) is full: ${reason.message}`,
        { cause: reason, retryAfterMs: 1000 },
      );
    }
    await this.pause(Math.min(1000, 25 * 2 ** tries), signal);
  }

  private async pause(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await sleep(ms, signal);
    } catch (reason) {
      throw asTesseraError(reason);
    }
  }

  private headers({ kind, key, tile, part, idPart }: OutgoingMessage, deadlineMs: number): MsgHdrs {
    const { subjects, trace } = this.connection;
    const header = headers();
    const { requestId, item, attempt } = key;
    const { revision } = subjects;
    header.set(
      messageHeaders.id,
      messageId({
        kind,
        requestId,
        item,
        tile,
        part: idPart === undefined ? part : `${part}-${idPart}`,
        attempt,
        revision,
      }),
    );
    header.set(messageHeaders.deadline, String(Math.round(deadlineMs)));
    header.set(messageHeaders.attempt, String(attempt));
    const traceparent = trace.inject();
    if (traceparent !== undefined) header.set(messageHeaders.traceparent, traceparent);
    return header;
  }
}

/** The reason of an aborted signal, as an error of the table: whatever a caller aborts with, it cancelled. */
function asTesseraError(reason: unknown): TesseraError {
  if (reason instanceof TesseraError) return reason;
  return new TesseraError('CANCELLED', `publishing was cancelled: ${messageOf(reason)}`, { cause: reason });
}
