import { createInbox, type Msg, nanos, type Subscription } from '@nats-io/transport-node';
import type { BusConnection } from './bus-connection.js';
import { DeliveredJob } from './delivered-job.js';

/** How long the server holds a pull request. Short, so that a request it forgot is soon made again. */
const pullMs = 10_000;
const graceMs = 2000;
/** The wait before the next request after one that the server refused. */
const refusedDelayMs = 500;

/** How a pull request ended: with a job, without one, refused, or because the server may have lost the queue. */
type PullEnd = 'job' | 'again' | 'refused' | 'missing';

/**
 * Pulls jobs one at a time: the next one is asked for only when a slot is free, so no job waits behind a busy worker
 * while another replica is idle. (The client library's own consumer asks ahead, and cannot take a request back without
 * the risk of losing what was on its way.)
 */
export class JobPuller {
  private subscription: Subscription | undefined;
  private readonly arrived: DeliveredJob[] = [];
  private end: (how: PullEnd) => void = () => {};
  private stopped = false;

  constructor(
    private readonly connection: BusConnection,
    private readonly stream: string,
    private readonly durable: string,
    /** Makes sure that the queue exists; called when the server may have lost it. */
    private readonly restore: () => Promise<void>,
  ) {}

  /** The next job; undefined once stopped. One call at a time. */
  async next(): Promise<DeliveredJob | undefined> {
    while (!this.stopped) {
      const how = await this.pull();
      if (this.stopped) break;
      const [job, ...others] = this.arrived.splice(0);
      // Two answers to one request, after the server was thought to have forgotten it: another worker may be free.
      for (const other of others) other.retry(0);
      if (job !== undefined) return job;
      if (how === 'missing') await this.restored();
      if (how === 'refused') await this.ended(refusedDelayMs);
    }
    return undefined;
  }

  /** Takes the pull request back; a job that was on its way goes back to the queue at once. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.end('again');
    await this.takeBack(this.subscription);
    for (const job of this.arrived.splice(0)) job.retry(0);
  }

  private async pull(): Promise<PullEnd> {
    const { nc } = this.connection;
    const inbox = createInbox();
    const ended = this.ended(pullMs + graceMs);
    const { end } = this;
    const subscription = nc.subscribe(inbox, {
      callback: (error, message) => {
        const job = error === null ? DeliveredJob.of(message) : undefined;
        if (job !== undefined) this.arrived.push(job);
        const how = job !== undefined ? 'job' : error !== null ? 'refused' : endOf(message);
        if (how !== undefined) end(how);
      },
    });
    this.subscription = subscription;
    // A new connection: the server that held the request forgot it, and perhaps the queue.
    const forgetListener = this.connection.onReconnect(() => end('missing'));
    try {
      nc.publish(
        `$JS.API.CONSUMER.MSG.NEXT.${this.stream}.${this.durable}`,
        JSON.stringify({ batch: 1, expires: nanos(pullMs) }),
        { reply: inbox },
      );
      const how = await ended;
      if (how === 'job') subscription.unsubscribe();
      else await this.takeBack(subscription);
      return how;
    } finally {
      forgetListener();
    }
  }

  /** A pull from a queue that does not exist gets no answer at all, so it is made sure first that it exists. */
  private async restored(): Promise<void> {
    while (!this.stopped) {
      if (this.connection.isOnline) {
        const restored = await this.restore().then(
          () => true,
          () => false,
        );
        if (restored) return;
      }
      await this.ended(refusedDelayMs);
    }
  }

  /** UNSUB and a round trip: whatever the server sent before has then arrived, and nothing comes after. */
  private async takeBack(subscription: Subscription | undefined): Promise<void> {
    if (subscription === undefined || subscription.isClosed()) return;
    if (this.connection.isOnline) await subscription.drain().catch(() => {});
    subscription.unsubscribe();
  }

  /** Resolves when `end` is called, or after a while: a server that answers nothing may have lost the queue. */
  private ended(withinMs: number): Promise<PullEnd> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve('missing'), withinMs);
      this.end = (how) => {
        clearTimeout(timer);
        resolve(how);
      };
    });
  }
}

/** What a status message says of the request that it answers; undefined when it is only a sign of life. */
function endOf(message: Msg): PullEnd | undefined {
  switch (message.headers?.code) {
    case 100:
      return undefined;
    case 404:
    case 408:
      return 'again';
    case 409:
      return /deleted/i.test(message.headers.description) ? 'missing' : 'refused';
    case 503:
      return 'missing';
    default:
      return 'refused';
  }
}
