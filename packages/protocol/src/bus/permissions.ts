import { parts, products, queues, spreadStreams, uploads } from './declarations.js';
import type { BusUser } from './roles.js';
import type { SpreadDeclaration } from './stream-declaration.js';
import type { StreamLimits } from './streams.js';
import type { Subjects } from './subjects.js';

/** Subjects that a user of NATS may send to and listen on; nothing else. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** Answers requests: cancels them, looks after their jobs, and tidies what dead processes left. */
const leader: BusUser = 'gateway';
/** Announces itself to the leader; as an expert shard, to its like. */
const announcer: BusUser = 'llm';
/** Makes the streams, and nothing else. */
const setter = 'streams' satisfies BusUser;

/** Where a service's answers come in: apart from those of others, so that it cannot listen to theirs. */
export function inboxPrefix(role: string): string {
  return `_INBOX_${role.replaceAll(/[^A-Za-z0-9_-]/g, '_')}`;
}

/**
 * What a service of one revision must be allowed on NATS. Each process makes the streams that it needs, so all of them may;
 * but each may only pull its own jobs, send what it makes, and hear what is meant for it.
 * @param limits those of the deployment: its streams are named by number
 */
export function permissionsOf(
  role: BusUser,
  subjects: Subjects,
  { shards }: Pick<StreamLimits, 'shards'>,
): Permissions {
  const api = (...rest: string[]): string => ['$JS.API', ...rest].join('.');
  const of = (kind: SpreadDeclaration): string[] =>
    Array.from({ length: shards }, (_, shard) => subjects.shard(kind, shard));
  const into = (kind: SpreadDeclaration): string[] =>
    Array.from({ length: shards }, (_, shard) => subjects.shardSubjects(kind, shard));

  const publish = new Set<string>();
  const subscribe = new Set<string>();
  const allow = (...patterns: readonly string[]): void => {
    for (const pattern of patterns) publish.add(pattern);
  };

  const all = [
    ...queues.map((queue) => subjects.queue(queue)),
    ...spreadStreams.flatMap(of),
    subjects.tombstones(),
    subjects.revisions(),
  ];
  allow(api('INFO'), api('STREAM.NAMES'));
  for (const stream of all) allow(...['INFO', 'CREATE', 'UPDATE'].map((verb) => api('STREAM', verb, stream)));
  for (const queue of queues) {
    const consumer = [subjects.queue(queue), subjects.workers] as const;
    allow(api('CONSUMER.INFO', ...consumer), api('CONSUMER.CREATE', ...consumer));
    allow(api('CONSUMER.CREATE', ...consumer, subjects.queueSubjects(queue)));
    allow(api('CONSUMER.DURABLE.CREATE', ...consumer));
  }
  // Each says that its revision is served, or is about to be.
  allow(subjects.revisionAlive(subjects.revision));
  subscribe.add(`${inboxPrefix(role)}.>`);
  if (role === setter) return { publish: [...publish], subscribe: [...subscribe] };
  const works = queues.filter(({ worker }) => worker === role);
  const fills = queues.filter(({ producers }) => producers.includes(role));
  // Any of the others may find that a request was cancelled.
  allow(api('DIRECT.GET', subjects.tombstones(), subjects.tombstone()));
  subscribe.add(subjects.cancel());

  for (const queue of works) {
    const stream = subjects.queue(queue);
    allow(api('CONSUMER.MSG.NEXT', stream, subjects.workers), `$JS.ACK.${stream}.${subjects.workers}.>`);
    // What comes of its jobs, and their failures.
    allow(...into(queue.product));
    subscribe.add(subjects.attendance(queue));
  }
  for (const queue of fills) allow(subjects.queueSubjects(queue));
  for (const stream of products.filter(({ consumer }) => consumer === role).flatMap(of)) {
    allow(...['INFO', 'CREATE', 'DELETE'].map((verb) => api('CONSUMER', verb, stream, '*')));
    allow(api('CONSUMER.CREATE', stream, '*', '>'), api('CONSUMER.MSG.NEXT', stream, '*'), `$JS.ACK.${stream}.>`);
    allow(api('STREAM.PURGE', stream));
  }
  const stores = fills.some(({ usesParts }) => usesParts);
  const takes = works.some(({ usesParts }) => usesParts);
  if (stores) allow(...into(parts));
  for (const stream of of(parts)) {
    if (takes) allow(api('DIRECT.GET', stream));
    // Who stored them may drop them too: one by one when they were taken, by their name when nobody will.
    if (stores || takes) allow(api('STREAM.MSG.DELETE', stream), api('STREAM.PURGE', stream));
  }
  if (role === announcer) {
    allow(subjects.engines(), subjects.experts(), subjects.layers());
    // Engines are called by the leader, shards by engines.
    subscribe.add(subjects.experts());
    subscribe.add(subjects.layers());
  }
  if (role === leader) {
    // Of others, too: that they are there is what it says where none of its own is.
    subscribe.add(subjects.engines()).add(subjects.anyEngines());
    allow(subjects.cancel(), subjects.tombstone(), ...queues.map((queue) => subjects.attendance(queue)));
    // Whether what comes of its jobs is under way, and which jobs are not wanted any more.
    for (const { product } of fills) {
      const makers = queues.filter((queue) => queue.product === product).map((queue) => subjects.queue(queue));
      for (const stream of [...makers, ...of(product)])
        allow(api('DIRECT.GET', stream), api('DIRECT.GET', stream, '>'));
    }
    for (const queue of fills) allow(api('STREAM.MSG.DELETE', subjects.queue(queue)));
    // Uploads are stored and found by whichever gateway is asked.
    allow(...into(uploads));
    for (const stream of of(uploads)) {
      allow(api('DIRECT.GET', stream), api('DIRECT.GET', stream, '>'), api('STREAM.PURGE', stream));
    }
    // What dead processes and revisions left.
    for (const stream of products.flatMap(of)) {
      allow(api('STREAM.PURGE', stream), api('CONSUMER.INFO', stream, '*'));
    }
    allow(api('STREAM.DELETE', '*'));
  }
  return { publish: [...publish], subscribe: [...subscribe] };
}
