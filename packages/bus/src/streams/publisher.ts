import { JetStreamApiError } from '@nats-io/jetstream';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { remainingMs, signalWithDeadline, sleep } from '@tessera/flow';
import { maxMessageBytes, messageHeaders, queues, type StreamKind, TesseraError, uploads } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';
import { memoryUsedUp } from './memory-used-up.js';
import { StreamGate, type Turn } from './stream-gate.js';

export interface PublishOptions {
  /** Unix ms on the gateway's clock. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export interface OutgoingMessage {
  readonly kind: StreamKind;
  readonly stream: string;
  readonly subject: string;
  /** A second message with an id seen within the dedup window is acknowledged but not stored. */
  readonly id: string;
  readonly attempt: number;
  /** On jobs: who waits for what comes of it. */
  readonly deliverTo?: string;
  readonly payload: Uint8Array;
}

/** Where a message lies now. */
export interface Stored {
  readonly sequence: number;
  /** The life of the connection in which the number means this message. */
  readonly epoch: number;
}

/** Limits that were reached: the store refused (10077), or memory is used up. */
const fullCodes: ReadonlySet<number> = new Set([...memoryUsedUp, 10077]);
const messageTooLarge = 10054;
/** JetStream is starting (10008), or the stream is not there again yet (10059). */
const passingCodes = new Set([10008, 10059]);
/** How long one try may take; a lost acknowledgement costs no more than that, and the id makes a second try safe. */
const tryMs = 3000;
/** A stream that stays full is logged this often. */
const logEveryMs = 10_000;

/** Puts messages on the streams: never too large, never later than the deadline, never twice. */
export class Publisher {
  private readonly gates = new Map<string, StreamGate>();
  private loggedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly connection: BusConnection,
    /** Makes the streams again if the server lost them. */
    private readonly restore: (signal: AbortSignal) => Promise<void>,
  ) {}

  /**
   * Publishes and waits for the acknowledgement. While NATS is away it waits for it; while the stream is full it waits
   * up to `queueWaitMs` for jobs and uploads, and until the deadline for what stages made, whose makers have nothing better to do.
   * @throws TesseraError MESSAGE_TOO_LARGE, QUEUE_FULL, DEADLINE_EXCEEDED, CANCELLED
   */
  async publish(message: OutgoingMessage, options: PublishOptions): Promise<Stored> {
    const { limits, observer } = this.connection;
    const { kind, stream, subject, payload } = message;
    const maxBytes = maxMessageBytes(limits);
    if (payload.length > maxBytes) {
      throw new TesseraError(
        'MESSAGE_TOO_LARGE',
        `a message of ${payload.length} bytes for ${stream} is over the limit of ${maxBytes} bytes`,
      );
    }
    const header = this.headers(message, options.deadlineMs);
    const gate = this.gate(stream);
    using until = signalWithDeadline(options.signal, options.deadlineMs + limits.clockMarginMs);
    using turn = gate.enter();
    const { signal } = until;
    let fullSince: number | undefined;
    for (;;) {
      await this.waitOnline(signal, options);
      if (fullSince === undefined && gate.size > 0) {
        fullSince = performance.now();
        observer.queueFull?.(kind);
      }
      await this.turnOf(turn, message, fullSince, signal);
      try {
        const { epoch } = this.connection;
        const { seq } = await this.connection.js.publish(subject, payload, {
          headers: header,
          timeout: Math.max(1, Math.min(tryMs, remainingMs(options.deadlineMs + limits.clockMarginMs))),
        });
        turn.accepted();
        observer.published?.(kind, payload.length);
        if (fullSince !== undefined) observer.fullWaited?.(kind, performance.now() - fullSince);
        return { sequence: seq, epoch };
      } catch (reason) {
        if (reason instanceof JetStreamApiError) {
          if (fullCodes.has(reason.code)) {
            if (fullSince === undefined) observer.queueFull?.(kind);
            fullSince ??= performance.now();
            turn.refused();
            this.logFull(stream, gate, reason);
            continue;
          }
          if (!passingCodes.has(reason.code)) throw refusal(message, reason);
        }
        // A lost connection, a missing stream, a lost acknowledgement: gone in a moment.
        this.connection.log.debug({ subject, error: messageOf(reason) }, 'publishing again');
        await passed(sleep(100, signal));
        if (this.connection.isOnline) await this.restoreStreams(signal);
      }
    }
  }

  private gate(stream: string): StreamGate {
    let gate = this.gates.get(stream);
    if (gate === undefined) {
      gate = new StreamGate();
      this.gates.set(stream, gate);
    }
    return gate;
  }

  /**
   * Waits for this publisher's turn; a sender of jobs or uploads no longer than `queueWaitMs`.
   * @throws TesseraError QUEUE_FULL; the signal's reason
   */
  private async turnOf(
    turn: Turn,
    { kind, stream }: OutgoingMessage,
    fullSince: number | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const queue = queues.find(({ name }) => name === kind);
    const hasPatience = queue === undefined && kind !== uploads.name;
    if (fullSince === undefined || hasPatience) return await passed(turn.next(signal));
    const leftMs = this.connection.limits.queueWaitMs - (performance.now() - fullSince);
    using patience = signalWithDeadline(signal, Date.now() + leftMs);
    try {
      await turn.next(patience.signal);
    } catch (reason) {
      if (signal.aborted) throw asTesseraError(reason);
      if (queue === undefined) {
        const options = { retryAfterMs: 10_000 };
        throw new TesseraError('QUEUE_FULL', `there is no room for more uploads (${stream} is full)`, options);
      }
      const { worker: stage } = queue;
      throw new TesseraError('QUEUE_FULL', `the queue of the ${stage} (${stream}) is full`, {
        retryAfterMs: 1000,
        stage,
      });
    }
  }

  /** Says that a stream is full, now and then. */
  private logFull(stream: string, gate: StreamGate, reason: JetStreamApiError): void {
    const nowMs = performance.now();
    if (nowMs - this.loggedAt < logEveryMs) return;
    this.loggedAt = nowMs;
    this.connection.log.warn(
      { stream, waiting: gate.size, error: reason.message },
      'a stream is full; what is to be published waits for room',
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

  private headers({ id, attempt, deliverTo }: OutgoingMessage, deadlineMs: number): MsgHdrs {
    const header = headers();
    header.set(messageHeaders.id, id);
    header.set(messageHeaders.deadline, String(Math.round(deadlineMs)));
    header.set(messageHeaders.attempt, String(attempt));
    if (deliverTo !== undefined) header.set(messageHeaders.deliverTo, deliverTo);
    const traceparent = this.connection.trace.inject();
    if (traceparent !== undefined) header.set(messageHeaders.traceparent, traceparent);
    return header;
  }
}

function refusal({ stream, payload }: OutgoingMessage, reason: JetStreamApiError): TesseraError {
  return new TesseraError(
    reason.code === messageTooLarge ? 'MESSAGE_TOO_LARGE' : 'STAGE_UNAVAILABLE',
    `stream ${stream} refuses a message of ${payload.length} bytes: ${reason.message}`,
    { cause: reason },
  );
}

async function passed<T>(wait: Promise<T>): Promise<T> {
  try {
    return await wait;
  } catch (reason) {
    throw asTesseraError(reason);
  }
}

/** The reason of an aborted signal, as an error of the table: whatever a caller aborts with, it cancelled. */
function asTesseraError(reason: unknown): TesseraError {
  if (reason instanceof TesseraError) return reason;
  return new TesseraError('CANCELLED', `publishing was cancelled: ${messageOf(reason)}`, { cause: reason });
}
