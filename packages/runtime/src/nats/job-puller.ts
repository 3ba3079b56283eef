import { createInbox, type Msg, nanos, type Subscription } from '@nats-io/transport-node';
import type { BusConnection } from './bus-connection.js';
import { DeliveredJob } from './delivered-job.js';

/** How long the server holds a pull request. Short, so that a request it forgot is soon made again. */
const pullMs = 10_000;
const graceMs = 2000;
/** The wait before the next request after one that the server refused. */
const refusedDelayMs = 250;

/** How a pull request ended: with a job, without one, refused, or because the server lost the queue. */
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
    /** Called when the server knows no such stream or consumer. */
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
      if (how === 'missing') await this.restore();
      if (how === 'missing' || how === 'refused') await this.ended(refusedDelayMs);
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
    // A new connection: the server that held the request forgot it.
    const forgetListener = this.connection.onReconnect(() => end('again'));
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

  /** UNSUB and a round trip: whatever the server sent before has then arrived, and nothing comes after. */
  private async takeBack(subscription: Subscription | undefined): Promise<void> {
    if (subscription === undefined || subscription.isClosed()) return;
    if (this.connection.isOnline) await subscription.drain().catch(() => {});
    subscription.unsubscribe();
  }

  /** Resolves when `end` is called, or with `again` after a while. */
  private ended(withinMs: number): Promise<PullEnd> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.end('again'), withinMs);
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
