import { sleep } from '@tessera/flow';
import { products, TesseraError } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';

/** Between two looks, in milliseconds; spread by half, so that a fleet does not look at once. */
const lookEveryMs = 60_000;
/** Signs of life in the time after which a revision counts as gone. */
const signsPerLife = 6;

/** One sign of life, which counts for `revisionIdleMs`. */
export async function sayRevisionOnce({ js, subjects }: BusConnection): Promise<void> {
  await js.publish(subjects.revisionAlive(subjects.revision), new Uint8Array(0));
}

/** Says now and then that this process's revision is served, until the signal aborts. */
export async function sayRevision(connection: BusConnection, signal: AbortSignal): Promise<void> {
  const { limits, log } = connection;
  while (!signal.aborted) {
    try {
      await connection.waitOnline(signal);
      await sayRevisionOnce(connection);
    } catch (reason) {
      if (signal.aborted) return;
      log.debug({ error: messageOf(reason) }, 'the sign of life of this revision was not heard');
    }
    await sleep(spread(limits.revisionIdleMs / signsPerLife), signal).catch(() => {});
  }
}

/** Removes what nobody will ever fetch, now and then, until the signal aborts. One in a deployment is enough; more do no harm. */
export class Janitor {
  /** Addresses without a consumer at the last look: a live process that just lost its own has it again at the next. */
  private deserted = new Set<string>();

  constructor(private readonly connection: BusConnection) {}

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(spread(lookEveryMs), signal).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.connection.waitOnline(signal);
        await this.look();
      } catch (reason) {
        if (signal.aborted || (reason instanceof TesseraError && reason.code === 'DRAINING')) return;
        this.connection.log.debug({ error: messageOf(reason) }, 'the streams could not be tidied');
      }
    }
  }

  /** One look over the streams. */
  async look(): Promise<void> {
    await this.removeDeadRevisions();
    await this.removeDeserted();
  }

  /** Queues of revisions that gave no sign of life for `revisionIdleMs`. */
  private async removeDeadRevisions(): Promise<void> {
    const { manager, subjects, log } = this.connection;
    const alive = new Set([subjects.revision]);
    const heard = await manager.streams.info(subjects.revisions(), { subjects_filter: subjects.revisionAlive() });
    for (const subject of Object.keys(heard.state.subjects ?? {})) alive.add(subject.split('.').at(-1) ?? '');
    for await (const name of manager.streams.names()) {
      const revision = subjects.revisionOfQueue(name);
      if (revision === undefined || alive.has(revision)) continue;
      log.info({ stream: name }, 'the queue of a revision that nobody serves is removed');
      await manager.streams.delete(name).catch(() => {});
    }
  }

  /** Products for processes that died: their consumers are gone, and nobody has their addresses any more. */
  private async removeDeserted(): Promise<void> {
    const { manager, subjects, log, limits } = this.connection;
    const deserted = new Set<string>();
    for (const product of products) {
      for (let shard = 0; shard < limits.shards; shard++) {
        const stream = subjects.shard(product, shard);
        const { state } = await manager.streams.info(stream, {
          subjects_filter: subjects.shardSubjects(product, shard),
        });
        const owners = new Map<string, string>();
        for (const subject of Object.keys(state.subjects ?? {})) {
          const at = subjects.parseProduct(subject);
          if (at !== undefined) owners.set(at.address, subject.split('.').slice(0, 6).join('.'));
        }
        for (const [address, head] of owners) {
          const there = await manager.consumers.info(stream, address).then(
            () => true,
            () => false,
          );
          if (there) continue;
          deserted.add(address);
          if (!this.deserted.has(address)) continue;
          log.info({ stream, address }, 'what lay there for a process that is gone is removed');
          await manager.streams.purge(stream, { filter: `${head}.>` });
        }
      }
    }
    this.deserted = deserted;
  }
}

function spread(ms: number): number {
  return ms * (0.75 + Math.random() / 2);
}
