import { createInbox, type Msg, nanos, type Subscription } from '@nats-io/transport-node';
import { sleep } from '@tessera/flow';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';
import { DeliveredMessage } from './delivered-message.js';

/** How long the server holds a pull request: one a minute for each idle process is all that a large fleet costs. */
const pullMs = 60_000;
/** How often the server says that it still holds it. */
const heartbeatMs = 10_000;
/** Silence after which the server is thought to have lost the consumer. */
const silentMs = 3 * heartbeatMs;
/** The pause after a request that the server refused, or a restoration that failed. */
const refusedDelayMs = 500;
/** How long a leaving process waits for what is on its way. */
const drainMs = 10_000;

export interface PullerOptions {
  readonly stream: string;
  readonly consumer: string;
  /** Makes sure that stream and consumer exist; called when the server may have lost them. */
  restore(): Promise<void>;
  /** Called for each message, at most as many as were asked for, but for those that were on their way during a loss. */
  onMessage(delivered: DeliveredMessage): void;
}

/**
 * Pulls from a consumer just as many messages as were asked for: nothing waits in a process that has no room for it.
 * (The client library's own consumers ask ahead.)
 */
export class Puller {
  private readonly inbox: string;
  private readonly subscription: Subscription;
  private readonly watch: NodeJS.Timeout;
  private readonly forgetReconnect: () => void;
  /**
   * Requests that may be out, the oldest first, and for how many messages each is. A delivery does not say which of them
   * it answers, and one that was answered in full ends without a word.
   */
  private readonly pulls = new Map<number, { readonly asked: number; readonly at: number }>();
  /** Messages that all requests together have still to bring. */
  private out = 0;
  private readonly stopping = new AbortController();
  /** Messages that are wanted and not asked for yet. */
  private credit = 0;
  private serial = 0;
  private heardAt = performance.now();
  private pausing = false;
  private scheduled = false;

  constructor(
    private readonly connection: BusConnection,
    private readonly options: PullerOptions,
  ) {
    this.inbox = createInbox(connection.inboxPrefix);
    // One subscription for all requests; the last token of the subject says which of them is answered.
    this.subscription = connection.nc.subscribe(`${this.inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.hear(message);
      },
    });
    this.watch = setInterval(() => this.checkSilence(), heartbeatMs / 2);
    // The server that held the requests is gone, with the requests and perhaps the stream.
    this.forgetReconnect = connection.onReconnect(() => void this.lost());
  }

  /** Asks for so many more messages. */
  request(count: number): void {
    this.credit += count;
    this.schedule();
  }

  /**
   * Asks for no more and closes the door; what was on its way comes in before. (The server delivers nothing to a request
   * whose inbox nobody listens to. What it hands over in that very moment is lost on the way, and delivered to another
   * after its ack wait.)
   */
  async stop(): Promise<void> {
    if (this.stopping.signal.aborted) return;
    this.stopping.abort();
    clearInterval(this.watch);
    this.forgetReconnect();
    if (this.connection.isOnline) {
      const drained = this.subscription.drain().catch(() => {});
      const timeout = new AbortController();
      await Promise.race([drained, sleep(drainMs, timeout.signal).catch(() => {})]);
      timeout.abort();
    }
    this.subscription.unsubscribe();
  }

  /** In the next turn, so that slots that become free together are asked for together. */
  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      this.pull();
    });
  }

  /**
   * Asks for what is wanted, once that is as much as is still to come anyway. Going through waiting requests is most of
   * what a large fleet costs the server, so it must not ask for each message by itself.
   */
  private pull(): void {
    const { connection, credit } = this;
    if (credit === 0 || credit < this.out) return;
    if (this.pausing || this.stopping.signal.aborted || !connection.isOnline) return;
    const { stream, consumer } = this.options;
    const nowMs = performance.now();
    if (this.out === 0) this.heardAt = nowMs;
    this.forgetEnded(nowMs);
    this.serial++;
    this.credit = 0;
    this.out += credit;
    this.pulls.set(this.serial, { asked: credit, at: nowMs });
    connection.nc.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
      JSON.stringify({ batch: credit, expires: nanos(pullMs), idle_heartbeat: nanos(heartbeatMs) }),
      { reply: `${this.inbox}.${this.serial}` },
    );
  }

  private hear(message: Msg): void {
    this.heardAt = performance.now();
    const delivered = DeliveredMessage.of(this.connection, message);
    if (delivered !== undefined) {
      if (--this.out <= 0) this.settle();
      this.options.onMessage(delivered);
      this.schedule();
      return;
    }
    const end = endOf(message);
    if (end === undefined) return;
    const serial = Number(message.subject.slice(this.inbox.length + 1));
    const pull = this.pulls.get(serial);
    // One of before a loss: asked for anew already.
    if (pull === undefined) return;
    this.pulls.delete(serial);
    const unused = Math.min(this.out, unusedOf(message) ?? pull.asked);
    this.out -= unused;
    this.credit += unused;
    if (end === 'missing') void this.lost();
    else if (end === 'refused') void this.pause(() => sleep(refusedDelayMs, this.stopping.signal));
    else this.schedule();
  }

  /** Lets go of requests so old that the server has surely ended them. */
  private forgetEnded(nowMs: number): void {
    for (const [serial, { at }] of this.pulls) {
      if (nowMs - at < 2 * pullMs) return;
      this.pulls.delete(serial);
    }
  }

  private settle(): void {
    this.out = 0;
    this.pulls.clear();
  }

  private checkSilence(): void {
    if (this.out === 0 || !this.connection.isOnline) return;
    if (performance.now() - this.heardAt > silentMs) void this.lost();
  }

  /** Asks anew for everything, once it is sure that there is something to ask. */
  private async lost(): Promise<void> {
    this.credit += this.out;
    this.settle();
    await this.pause(() => this.options.restore());
  }

  private async pause(restore: () => Promise<void>): Promise<void> {
    if (this.pausing) return;
    this.pausing = true;
    const { signal } = this.stopping;
    try {
      for (;;) {
        await this.connection.waitOnline(signal);
        try {
          await restore();
          break;
        } catch (reason) {
          this.connection.log.debug({ ...this.named(), error: messageOf(reason) }, 'the consumer is not back yet');
          await sleep(refusedDelayMs, signal);
        }
      }
    } catch {
      // Stopped, or the connection was closed.
      return;
    } finally {
      this.pausing = false;
    }
    this.schedule();
  }

  private named(): { stream: string; consumer: string } {
    const { stream, consumer } = this.options;
    return { stream, consumer };
  }
}

/** How many messages the request that ends has not brought. */
function unusedOf(message: Msg): number | undefined {
  const pending = message.headers?.get('Nats-Pending-Messages');
  return pending === undefined || pending === '' ? undefined : Number(pending);
}

/** What a status message says of the request that it answers; undefined when it is only a sign of life. */
function endOf(message: Msg): 'again' | 'refused' | 'missing' | undefined {
  switch (message.headers?.code) {
    case 100:
      return undefined;
    case 404:
    case 408:
      return 'again';
    case 409:
      return /deleted|shutdown|leadership/i.test(message.headers.description) ? 'missing' : 'refused';
    case 503:
      return 'missing';
    default:
      return 'refused';
  }
}
