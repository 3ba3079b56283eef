import type { JobKey, TensorRef } from '../messages.js';
import type { Product, ProductContent } from './product.js';
import type { BusRole } from './roles.js';
import type { MessageCodec, StreamDeclaration } from './stream-declaration.js';

/** What every job's message has. */
export interface JobMessage {
  key: JobKey | undefined;
}

/** Work that the replicas of one service pull from a queue of each model revision. */
export interface Queue<Job extends JobMessage, Name extends string = string, ProductName extends string = string>
  extends StreamDeclaration<Name> {
  readonly message: MessageCodec<Job>;
  /** The tile that stands in a job's subject: together with the item it tells apart the jobs of a request. */
  tile(job: Job): number;
  /** Whether a job is about several tiles, of which the one in its subject is the first. Its failure is the item's then. */
  readonly spansTiles: boolean;
  /** The services that queue jobs. */
  readonly producers: readonly BusRole[];
  /** The service that does them, and in whose name a failure is told. */
  readonly worker: BusRole;
  /** What comes of a job in the end, and in whose place its failure is told. */
  readonly product: Product<ProductContent, ProductName>;
  /** Whether jobs refer to parts: who queues them stores parts, and who does them takes them. */
  readonly usesParts: boolean;
  /** The tensor that a job refers to, if jobs refer to one: it is removed with a job that nobody will do. */
  tensor?(job: Job): TensorRef | undefined;
}

/** Declares a queue, with the types that follow from what is said. */
export function jobQueue<Job extends JobMessage, Name extends string, ProductName extends string>(
  queue: Queue<Job, Name, ProductName>,
): Queue<Job, Name, ProductName> {
  return queue;
}
