import type { StreamLimits } from './streams.js';
import { type JobKind, jobKinds, jobRoutes, type ProductKind, productKinds, type Subjects } from './subjects.js';

/** The services that have a user of their own on NATS. */
export const busRoles = ['gateway', 'encoder', 'connector', 'llm', 'generator'] as const;
export type BusRole = (typeof busRoles)[number];

/** Subjects that a user of NATS may send to and listen on; nothing else. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** What a service does on the bus, beyond what all do. */
interface Traffic {
  /** The queue that it does the jobs of. */
  readonly works?: JobKind;
  /** Queues that it puts jobs on. */
  readonly queues?: readonly JobKind[];
  /** What it makes for others, failures included. */
  readonly makes?: ProductKind;
  /** What others make for it. */
  readonly receives?: ProductKind;
  /** Whether it stores large media or features in parts, and whether it takes such parts. Who stored them may drop them. */
  readonly parts?: 'stores' | 'takes' | 'both';
  /** Whether it answers requests: cancels them, looks after their jobs, and tidies what dead processes left. */
  readonly leads?: boolean;
  /** Whether it announces itself to those who lead. */
  readonly announces?: boolean;
}

/** The one place that says who talks to whom. */
const traffic: Readonly<Record<BusRole, Traffic>> = {
  gateway: { queues: ['encode'], receives: 'drawings', parts: 'both', leads: true },
  encoder: { works: 'encode', queues: ['connect'], makes: jobRoutes.encode.failureKind, parts: 'both' },
  connector: { works: 'connect', makes: jobRoutes.connect.failureKind, parts: 'takes' },
  llm: { queues: ['generate'], receives: 'tokens', announces: true },
  generator: { works: 'generate', makes: jobRoutes.generate.failureKind },
};

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
  role: BusRole,
  subjects: Subjects,
  { shards }: Pick<StreamLimits, 'shards'>,
): Permissions {
  const does = traffic[role];
  const api = (...rest: string[]): string => ['$JS.API', ...rest].join('.');
  const of = (kind: ProductKind | 'parts'): string[] =>
    Array.from({ length: shards }, (_, shard) => subjects.shard(kind, shard));
  const into = (kind: ProductKind | 'parts'): string[] =>
    Array.from({ length: shards }, (_, shard) => subjects.shardSubjects(kind, shard));

  const publish = new Set<string>();
  const subscribe = new Set<string>();
  const allow = (...patterns: readonly string[]): void => {
    for (const pattern of patterns) publish.add(pattern);
  };

  const all = [
    ...jobKinds.map((kind) => subjects.queue(kind)),
    ...[...productKinds, 'parts' as const].flatMap(of),
    subjects.tombstones(),
    subjects.revisions(),
  ];
  allow(api('INFO'), api('STREAM.NAMES'));
  for (const stream of all) allow(...['INFO', 'CREATE', 'UPDATE'].map((verb) => api('STREAM', verb, stream)));
  for (const kind of jobKinds) {
    const consumer = [subjects.queue(kind), subjects.workers] as const;
    allow(api('CONSUMER.INFO', ...consumer), api('CONSUMER.CREATE', ...consumer));
    allow(api('CONSUMER.CREATE', ...consumer, subjects.queueSubjects(kind)));
    allow(api('CONSUMER.DURABLE.CREATE', ...consumer));
  }
  // Any of them may find that a request was cancelled, and says that its revision is served.
  allow(api('DIRECT.GET', subjects.tombstones(), subjects.tombstone()), subjects.revisionAlive(subjects.revision));
  subscribe.add(`${inboxPrefix(role)}.>`).add(subjects.cancel());

  if (does.works !== undefined) {
    const queue = subjects.queue(does.works);
    allow(api('CONSUMER.MSG.NEXT', queue, subjects.workers), `$JS.ACK.${queue}.${subjects.workers}.>`);
  }
  for (const kind of does.queues ?? []) allow(subjects.queueSubjects(kind));
  if (does.makes !== undefined) allow(...into(does.makes));
  if (does.receives !== undefined) {
    const { receives } = does;
    for (const stream of of(receives)) {
      allow(...['INFO', 'CREATE', 'DELETE'].map((verb) => api('CONSUMER', verb, stream, '*')));
      allow(api('CONSUMER.CREATE', stream, '*', '>'), api('CONSUMER.MSG.NEXT', stream, '*'), `$JS.ACK.${stream}.>`);
      allow(api('STREAM.PURGE', stream));
    }
  }
  if (does.parts !== undefined) {
    if (does.parts !== 'takes') allow(...into('parts'));
    for (const stream of of('parts')) {
      if (does.parts !== 'stores') allow(api('DIRECT.GET', stream));
      allow(api('STREAM.MSG.DELETE', stream));
    }
  }
  if (does.announces === true) allow(subjects.engines());
  if (does.leads === true) {
    subscribe.add(subjects.engines());
    allow(subjects.cancel(), subjects.tombstone());
    // Whether a tile is under way, and which jobs are not wanted any more.
    for (const stream of [...jobKinds.map((kind) => subjects.queue(kind)), ...of('tokens')]) {
      allow(api('DIRECT.GET', stream), api('DIRECT.GET', stream, '>'));
    }
    for (const kind of does.queues ?? []) allow(api('STREAM.MSG.DELETE', subjects.queue(kind)));
    // What dead processes and revisions left.
    for (const stream of productKinds.flatMap(of)) {
      allow(api('STREAM.PURGE', stream), api('CONSUMER.INFO', stream, '*'));
    }
    allow(api('STREAM.DELETE', '*'));
  }
  return { publish: [...publish], subscribe: [...subscribe] };
}
