import { TesseraError } from '../errors.js';
import { quoted } from '../outside-text.js';
import { parts, queues, uploads } from './declarations.js';
import type { SpreadDeclaration, StreamDeclaration } from './stream-declaration.js';

/** Stands where a part's number would: the message is a Failure and takes the place of the product. */
export const failurePart = 'failure';

/** What a job is about. */
export interface JobPlace {
  readonly requestId: string;
  readonly item: number;
  readonly tile: number;
}

/** What a product's message is. */
export interface ProductPlace extends JobPlace {
  readonly part: number | typeof failurePart;
}

/**
 * The version of what travels on the bus: subjects, headers and proto/tessera/bus. It stands in every name, so that processes of
 * two versions never read each other's messages during an upgrade. Raise it with any change that the other side of a
 * message would misread.
 */
const busVersion = 'v2';

const tokenPattern = /^[A-Za-z0-9_-]{1,64}$/;
const prefixPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;
const addressPattern = /^(\d{1,3})-[A-Za-z0-9]{8,32}$/;

/**
 * Checks a request id: it becomes one token of a subject and a key, so it must not hold a dot, a wildcard or a blank.
 * @throws TesseraError REQUEST_INVALID
 */
function checkRequestId(requestId: string): string {
  if (tokenPattern.test(requestId)) return requestId;
  throw new TesseraError(
    'REQUEST_INVALID',
    `a request id is 1 to 64 letters, digits, '-' or '_', not ${quoted(requestId)}`,
    { field: 'request_id' },
  );
}

/**
 * Checks the two names that every subject begins with.
 * @throws TesseraError CONFIG_INVALID
 */
function checkNames(prefix: string, revision: string): void {
  if (!prefixPattern.test(prefix)) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `nats.prefix is 1 to 32 letters, digits, '-' or '_' and begins with a letter or digit, not ${quoted(prefix)}`,
    );
  }
  if (!tokenPattern.test(revision)) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `a model revision is 1 to 64 letters, digits, '-' or '_', not ${quoted(revision)}`,
    );
  }
}

/**
 * The address of a process that waits for products, as jobs carry it: the number of the stream that its products take,
 * and a name of its own. The stream's number stands in it, so that only its owner need know how many there are.
 */
export function inboxAddress(shard: number, name: string): string {
  return `${shard}-${name}`;
}

/** @throws TesseraError REQUEST_INVALID when it is no address */
export function shardOf(address: string): number {
  const shard = addressPattern.exec(address)?.[1];
  if (shard !== undefined) return Number(shard);
  throw new TesseraError(
    'REQUEST_INVALID',
    `an address to deliver to is a number, '-' and a name, not ${quoted(address)}`,
  );
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : undefined;
}

/**
 * Every name that one deployment and one model revision use on NATS.
 * A prefix is one token, and all names are made from it, so two prefixes on one server never meet.
 */
export class Subjects {
  /** What every subject begins with. */
  private readonly root: string;

  /** @throws TesseraError CONFIG_INVALID when a name could not stand in a subject */
  constructor(
    readonly prefix: string,
    readonly revision: string,
  ) {
    checkNames(prefix, revision);
    this.root = `${prefix}.${busVersion}`;
  }

  /** The name of a revision's queue: a stream of its own, so that no other revision's jobs can fill it. */
  queue(queue: StreamDeclaration, revision = this.revision): string {
    return `${this.prefix}_${busVersion}_${queue.place}_${revision}`;
  }

  /** The revision of a queue by its name; undefined when the stream is no queue of this deployment. */
  revisionOfQueue(stream: string): string | undefined {
    for (const queue of queues) {
      const head = this.queue(queue, '');
      if (stream.startsWith(head) && stream.length > head.length) return stream.slice(head.length);
    }
    return undefined;
  }

  /** The durable consumer that the replicas of one stage and revision share. */
  readonly workers = 'workers';

  queueSubjects(queue: StreamDeclaration): string {
    return `${this.root}.${queue.place}.${this.revision}.>`;
  }

  job(queue: StreamDeclaration, at: JobPlace): string {
    return `${this.root}.${queue.place}.${this.revision}.${checkRequestId(at.requestId)}.${at.item}.${at.tile}`;
  }

  /** All jobs of a request. */
  jobs(queue: StreamDeclaration, requestId: string): string {
    return `${this.root}.${queue.place}.${this.revision}.${checkRequestId(requestId)}.>`;
  }

  /** Reads a job's subject back; undefined when it is none. */
  parseJob(subject: string): JobPlace | undefined {
    const tokens = subject.split('.');
    if (tokens.length !== 7) return undefined;
    const [, , , , requestId, itemText, tileText] = tokens;
    const [item, tile] = [count(itemText), count(tileText)];
    if (requestId === undefined || item === undefined || tile === undefined) return undefined;
    return { requestId, item, tile };
  }

  /** One of the streams over which products, or parts, are spread. */
  shard(kind: SpreadDeclaration, shard: number): string {
    return `${this.prefix}_${busVersion}_${kind.place}_${shard}`;
  }

  /** The stream that takes what an address is sent. @throws TesseraError REQUEST_INVALID */
  shardOf(product: SpreadDeclaration, address: string): string {
    return this.shard(product, shardOf(address));
  }

  shardSubjects(kind: SpreadDeclaration, shard: number): string {
    return `${this.root}.${kind.place}.${shard}.>`;
  }

  /** What one address is sent. @throws TesseraError REQUEST_INVALID */
  inboxFilter(product: SpreadDeclaration, address: string): string {
    return `${this.root}.${product.place}.${shardOf(address)}.${this.revision}.${address}.>`;
  }

  /** @throws TesseraError REQUEST_INVALID */
  product(product: SpreadDeclaration, address: string, at: ProductPlace): string {
    const { requestId, item, tile, part } = at;
    const place = `${checkRequestId(requestId)}.${item}.${tile}.${part}`;
    return `${this.root}.${product.place}.${shardOf(address)}.${this.revision}.${address}.${place}`;
  }

  /** Every message of one tile, or drawing, to one address. */
  productFilter(product: SpreadDeclaration, address: string, at: JobPlace): string {
    const place = `${checkRequestId(at.requestId)}.${at.item}.${at.tile}`;
    return `${this.root}.${product.place}.${shardOf(address)}.${this.revision}.${address}.${place}.>`;
  }

  /** Reads a product's subject back; undefined when it is none. */
  parseProduct(subject: string): (ProductPlace & { readonly address: string }) | undefined {
    const tokens = subject.split('.');
    if (tokens.length !== 10) return undefined;
    const [, , , , , address, requestId, itemText, tileText, partText] = tokens;
    const [item, tile] = [count(itemText), count(tileText)];
    const part = partText === failurePart ? failurePart : count(partText);
    if (address === undefined || requestId === undefined) return undefined;
    if (item === undefined || tile === undefined || part === undefined) return undefined;
    return { address, requestId, item, tile, part };
  }

  /** One part of something that lies in parts; `name` is the whole's, one token. */
  part(shard: number, name: string, index: number): string {
    return `${this.root}.${parts.place}.${shard}.${this.revision}.${checkRequestId(name)}.${index}`;
  }

  /** All parts of one name. */
  partsOf(shard: number, name: string): string {
    return `${this.root}.${parts.place}.${shard}.${this.revision}.${checkRequestId(name)}.>`;
  }

  /** The head of an upload, which says what it is. An upload is of no revision. @param digest hex */
  uploadHead(shard: number, digest: string): string {
    return `${this.root}.${uploads.place}.${shard}.${checkRequestId(digest)}.head`;
  }

  /** One of an upload's parts, named also by their size: another gateway may cut the same bytes otherwise. */
  uploadPart(shard: number, digest: string, partBytes: number, part: number): string {
    return `${this.root}.${uploads.place}.${shard}.${checkRequestId(digest)}.${partBytes}.${part}`;
  }

  /** All that there is of an upload. */
  uploadFilter(shard: number, digest: string): string {
    return `${this.root}.${uploads.place}.${shard}.${checkRequestId(digest)}.>`;
  }

  /** The stream of tombstones. */
  tombstones(): string {
    return `${this.prefix}_${busVersion}_cancelled`;
  }

  /** A request's tombstone; with no id, all of them. */
  tombstone(requestId?: string): string {
    return `${this.root}.cancelled.${requestId === undefined ? '*' : checkRequestId(requestId)}`;
  }

  /** Core NATS: a request was cancelled. With no id, the cancels of all requests. */
  cancel(requestId?: string): string {
    return `${this.root}.cancel.${requestId === undefined ? '*' : checkRequestId(requestId)}`;
  }

  /** Core NATS: whoever takes jobs of a queue listens here. Nothing is said: that somebody would hear it is what counts. */
  attendance(queue: StreamDeclaration): string {
    return `${this.root}.attendance.${queue.place}.${this.revision}`;
  }

  /** Core NATS: engines of this revision announce themselves. */
  engines(): string {
    return `${this.root}.engines.${this.revision}`;
  }

  /** Engines of any revision, and of any version of the bus: those that this process does not work with are heard there. */
  anyEngines(): string {
    return `${this.prefix}.*.engines.*`;
  }

  /** Whose announcement a subject of `anyEngines` is. */
  parseEngines(subject: string): { readonly version: string; readonly revision: string } | undefined {
    const [, version, , revision] = subject.split('.');
    return version === undefined || revision === undefined ? undefined : { version, revision };
  }

  /** Of what this process says on the bus. */
  readonly version = busVersion;

  /** Core NATS: expert shards of this revision announce themselves. */
  experts(): string {
    return `${this.root}.experts.${this.revision}`;
  }

  /** Core NATS: layer shards of this revision announce themselves. */
  layers(): string {
    return `${this.root}.layers.${this.revision}`;
  }

  /** The stream in which each revision that is served says so now and then. */
  revisions(): string {
    return `${this.prefix}_${busVersion}_revisions`;
  }

  /** A revision's sign of life; with none, those of all. */
  revisionAlive(revision?: string): string {
    return `${this.root}.revisions.${revision ?? '*'}`;
  }
}
