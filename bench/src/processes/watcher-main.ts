import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { inboxPrefix as answersTo } from '@tessera/protocol';
import { answerCalls } from './answer-calls.js';

/** Own requests are told from those that are counted by where their answers go. */
const ownInbox = '_WATCH';

export interface Sample {
  readonly bytes: number;
  readonly lastSequence: number;
}

/** What went over a server in a while. */
export interface Heard {
  /** Requests to JetStream, by what they ask for, such as CONSUMER.MSG.NEXT. */
  readonly requests: ReadonlyMap<string, number>;
  /** Signs of life that the server gave to those whose pull requests it holds; only where they were listened for. */
  readonly heartbeats: number;
}

let connection: NatsConnection | undefined;
const requests = new Map<string, number>();
let heartbeats = 0;
let sampling: NodeJS.Timeout | undefined;
let samples: Sample[] = [];

/** The words of an API subject that say what is asked: those before the first name. */
function requestName(subject: string): string {
  const words = subject.split('.').slice(2);
  const end = words.findIndex((word) => !/^[A-Z]+$/.test(word));
  return words.slice(0, end < 0 ? undefined : end).join('.');
}

function connected(): NatsConnection {
  if (connection === undefined) throw new Error('the watcher is not connected');
  return connection;
}

/** Looks at a NATS server from outside, in a process of its own: what the measured ones do does not keep it from looking. */
const calls = {
  async open(url: string): Promise<void> {
    connection = await connect({ servers: url, inboxPrefix: ownInbox });
    connection.subscribe('$JS.API.>', {
      callback: (error, message) => {
        if (error !== null || message.reply?.startsWith(ownInbox)) return;
        const name = requestName(message.subject);
        requests.set(name, (requests.get(name) ?? 0) + 1);
      },
    });
    await connection.flush();
  },

  /** Reads the state of a stream again and again. */
  async sample({ stream, everyMs }: { stream: string; everyMs: number }): Promise<void> {
    const manager = await jetstreamManager(connected());
    samples = [];
    const look = async (): Promise<void> => {
      const { state } = await manager.streams.info(stream);
      samples.push({ bytes: state.bytes, lastSequence: state.last_seq });
    };
    await look();
    sampling = setInterval(() => void look().catch(() => {}), everyMs);
  },

  async samples(): Promise<readonly Sample[]> {
    clearInterval(sampling);
    return samples;
  },

  /** What was heard since this was asked last. */
  async heard(): Promise<Heard> {
    await connected().flush();
    const heard = { requests: new Map(requests), heartbeats };
    requests.clear();
    heartbeats = 0;
    return heard;
  },

  /** Listens to the answers to pull requests of buses of a name, too, for so long. */
  async listen({ name, forMs }: { name: string; forMs: number }): Promise<void> {
    const subscription = connected().subscribe(`${answersTo(name)}.>`, {
      callback: (error, message) => {
        if (error === null && message.headers?.code === 100) heartbeats++;
      },
    });
    await new Promise((resolve) => setTimeout(resolve, forMs));
    subscription.unsubscribe();
  },
};

export type WatcherCalls = typeof calls;

answerCalls(calls);
