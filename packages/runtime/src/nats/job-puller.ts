import { createInbox, type Msg, nanos, type Subscription } from '@nats-io/transport-node';
import type { BusConnection } from './bus-connection.js';
import { DeliveredJob } from './delivered-job.js';

/**
 * How long the server holds a pull request. A request cannot be taken back: a job may be on its way when the inbox is
 * closed, and would then be nobody's until its ack wait is over. So a leaving worker sees its last request to its end,
 * and this is the longest that takes.
 */
const pullMs = 1000;
/** How much longer an answer may take before the server is thought to have lost the queue. */
const graceMs = 2000;
/** The wait before the next request after one that the server refused. */
const refusedDelayMs = 500;

/** How a pull request ended: with a job, without one, refused, or because the server may have lost the queue. */
type PullEnd = 'job' | 'again' | 'refused' | 'missing';

/**
 * Pulls jobs one at a time: the next one is asked for only when a slot is free, so no job waits behind a busy worker
 * while another replica is idle. (The client library's own consumer asks ahead.)
 */
export class JobPuller {
  private readonly inbox = createInbox();
  private readonly subscription: Subscription;
  private serial = 0;
  private job: DeliveredJob | undefined;
  private end: (how: PullEnd) => void = () => {};
  private waiting = false;
  private stopped = false;

  constructor(
    private readonly connection: BusConnection,
    private readonly stream: string,
    private readonly durable: string,
    /** Makes sure that the queue exists; called when the server may have lost it. */
    private readonly restore: () => Promise<void>,
  ) {
    // One subscription for all requests; the last token of the subject says which of them is answered.
    this.subscription = connection.nc.subscribe(`${this.inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.hear(message);
        else this.end('refused');
      },
    });
  }

  /** The next job; undefined once stopped and the last request has ended without one. One call at a time. */
  async next(): Promise<DeliveredJob | undefined> {
    while (!this.stopped) {
      const how = await this.pull();
      const { job } = this;
      this.job = undefined;
      // Also the one that still came after the stop: handed back, it would go to the next of this worker's slots that has a
      // request out, and so use up its deliveries in no time.
      if (job !== undefined) return job;
      if (how === 'missing') await this.restored();
      if (how === 'refused') await this.ended(refusedDelayMs);
    }
    this.subscription.unsubscribe();
    return undefined;
  }

  /** Asks for no more. The request that is out is seen to its end, unless there is no server to end it. */
  stop(): void {
    this.stopped = true;
    if (!this.waiting || !this.connection.isOnline) this.end('again');
  }

  private async pull(): Promise<PullEnd> {
    const ended = this.ended(pullMs + graceMs);
    this.serial++;
    this.waiting = true;
    // The server that held the request is gone, with the request and perhaps the queue.
    const forgetListener = this.connection.onReconnect(() => this.end('missing'));
    try {
      this.connection.nc.publish(
        `$JS.API.CONSUMER.MSG.NEXT.${this.stream}.${this.durable}`,
        JSON.stringify({ batch: 1, expires: nanos(pullMs) }),
        { reply: `${this.inbox}.${this.serial}` },
      );
      return await ended;
    } finally {
      this.waiting = false;
      forgetListener();
    }
  }

  private hear(message: Msg): void {
    const job = DeliveredJob.of(message);
    if (job !== undefined) {
      // An answer to a request that was given up: another worker may be free for it.
      if (!this.waiting || this.job !== undefined) job.retry(0);
      else this.job = job;
      this.end('job');
    } else if (message.subject === `${this.inbox}.${this.serial}`) {
      const how = endOf(message);
      if (how !== undefined) this.end(how);
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
