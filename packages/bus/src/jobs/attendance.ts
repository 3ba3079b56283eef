import { createInbox } from '@nats-io/transport-node';
import { type DeclaredQueue, type JobKind, queues } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';

/** Of those that listen one gets each question: a fleet of any size costs what one process does. */
const group = 'workers';

/** Stands for a process that takes jobs of a queue, until what is returned is called. */
export function attend({ nc, subjects }: BusConnection, queue: DeclaredQueue): () => void {
  const subscription = nc.subscribe(subjects.attendance(queue), { queue: group, callback: () => {} });
  return () => subscription.unsubscribe();
}

/**
 * Finds out which queues nobody takes jobs from. A process that does listens at the queue's subject, and says nothing: the
 * server knows whether anybody would hear a message, and tells its sender at once where nobody does ("no responders"). So
 * a process that died is missed when its connection ends, however many jobs it held, and nobody announces anything.
 */
export class Attendance {
  private readonly inbox: string;
  private unheard: Set<string> = new Set();
  private looks = 0;

  constructor(private readonly connection: BusConnection) {
    this.inbox = createInbox(connection.inboxPrefix);
    connection.nc.subscribe(`${this.inbox}.*.*`, {
      callback: (error, message) => {
        if (error !== null || message.headers?.code !== 503) return;
        const [look, place] = message.subject.split('.').slice(-2);
        if (Number(look) === this.looks && place !== undefined) this.unheard.add(place);
      },
    });
  }

  /** The queues that nobody takes jobs from; undefined while NATS is away, since then nobody can say. */
  async missing(): Promise<ReadonlySet<JobKind> | undefined> {
    const { nc, subjects, isOnline } = this.connection;
    if (!isOnline) return undefined;
    const unheard = new Set<string>();
    this.unheard = unheard;
    this.looks++;
    for (const queue of queues) {
      nc.publish(subjects.attendance(queue), undefined, { reply: `${this.inbox}.${this.looks}.${queue.place}` });
    }
    // The server answers in order: what it has to say of the questions comes before this.
    await nc.flush();
    return new Set(queues.filter(({ place }) => unheard.has(place)).map(({ name }) => name));
  }
}
