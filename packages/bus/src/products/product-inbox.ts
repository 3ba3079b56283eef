import { EventQueue } from '@tessera/flow';
import { type DeclaredProduct, failurePart, type ProductPlace } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import type { Assembly } from './assembly.js';
import { Inbox } from './inbox.js';
import { mayImprove, readFailure, type StageFailure } from './stage-failure.js';

export interface ReceiveOptions {
  /** Failures of earlier attempts than this are not told where another try could end better: they were dealt with. */
  readonly fromAttempt?: number;
}

/** What is sent to this process of one product, for all its requests. */
export class ProductInbox<Item> {
  private readonly open = new Set<EventQueue<Item | StageFailure>>();

  private constructor(
    private readonly connection: BusConnection,
    private readonly product: DeclaredProduct,
    private readonly assemblyOf: (requestId: string) => Assembly<Item>,
    private readonly inbox: Inbox,
  ) {}

  /** @param restore makes the streams again if the server lost them */
  static async open<Item>(
    connection: BusConnection,
    product: DeclaredProduct,
    assemblyOf: (requestId: string) => Assembly<Item>,
    restore: () => Promise<void>,
  ): Promise<ProductInbox<Item>> {
    return new ProductInbox(connection, product, assemblyOf, await Inbox.open(connection, product, restore));
  }

  /** Where stages are to send: jobs carry it. */
  get address(): string {
    return this.inbox.address;
  }

  /** Ways that are open, one for each request that is received for. */
  get size(): number {
    return this.open.size;
  }

  /**
   * What is made for a request from now on, and the failures of the stages that make it, each once: tensors as soon as all
   * their parts are there, events of the newest attempt in order. The way is open at once; it ends, without an error, when
   * the signal aborts or the reader leaves.
   */
  receive(
    requestId: string,
    signal: AbortSignal,
    { fromAttempt = 0 }: ReceiveOptions = {},
  ): AsyncIterable<Item | StageFailure> {
    const assembly = this.assemblyOf(requestId);
    let close = (): void => {};
    const onAbandoned = (): void => {
      close();
      this.open.delete(queue);
      assembly.close();
    };
    const queue = new EventQueue<Item | StageFailure>({ signal, onAbandoned });
    if (signal.aborted) return queue;
    this.open.add(queue);
    const failures = new Set<string>();
    close = this.inbox.open(requestId, {
      accept: (at, payload) => {
        if (at.part !== failurePart) {
          for (const item of assembly.add(at, payload)) queue.put(item);
          return;
        }
        const failure = this.failure(at, payload, assembly, failures);
        if (failure !== undefined && (failure.attempt >= fromAttempt || !mayImprove(failure))) queue.put(failure);
      },
    });
    return queue;
  }

  async close(): Promise<void> {
    for (const queue of this.open) queue.fail(this.connection.closedError());
    await this.inbox.close();
  }

  /** A failure that is news: not told before, and not of a tile that is there. */
  private failure(
    at: ProductPlace,
    payload: Uint8Array,
    assembly: Assembly<Item>,
    told: Set<string>,
  ): StageFailure | undefined {
    const failure = readFailure(this.connection, this.product, at, payload);
    if (failure === undefined || (failure.of === 'tile' && assembly.has(at))) return undefined;
    const name = `${at.item}/${at.tile}/${failure.attempt}/${failure.stage}`;
    if (told.has(name)) return undefined;
    told.add(name);
    return failure;
  }
}
