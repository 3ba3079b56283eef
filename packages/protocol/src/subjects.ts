import { TesseraError } from './errors.js';

/** Work that a stage pulls from a queue. */
export const jobKinds = ['encode', 'connect', 'generate'] as const;
export type JobKind = (typeof jobKinds)[number];

/** What stages make: kept on limits streams until the request ends or the longest deadline has passed. */
export const productKinds = ['features', 'tokens', 'media'] as const;
export type ProductKind = (typeof productKinds)[number];

export type StreamKind = JobKind | ProductKind;
export const streamKinds: readonly StreamKind[] = [...jobKinds, ...productKinds];

/** The stage that pulls each kind of job, and the stream where its product, or its failure, is awaited. */
export const jobRoutes: Readonly<Record<JobKind, { stage: string; failureStream: ProductKind }>> = {
  encode: { stage: 'encoder', failureStream: 'tokens' },
  connect: { stage: 'connector', failureStream: 'tokens' },
  generate: { stage: 'generator', failureStream: 'media' },
};

/** Stands where a part's number would: the message is a Failure and takes the place of the product. */
export const failurePart = 'failure';

/** Where a message lies: `<prefix>.<kind>.<revision>.<request>.<item>.<tile>.<part>`. */
export interface SubjectParts {
  readonly requestId: string;
  readonly item: number;
  readonly tile: number;
  readonly part: number | typeof failurePart;
}

const tokenPattern = /^[A-Za-z0-9_-]{1,64}$/;
const prefixPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;

/**
 * Checks a request id: it becomes one token of a subject and a key, so it must not hold a dot, a wildcard or a blank.
 * @throws TesseraError REQUEST_INVALID
 */
export function checkRequestId(requestId: string): string {
  if (tokenPattern.test(requestId)) return requestId;
  throw new TesseraError(
    'REQUEST_INVALID',
    `a request id is 1 to 64 letters, digits, '-' or '_', not ${JSON.stringify(requestId.slice(0, 80))}`,
  );
}

/**
 * Checks the two names that every subject begins with.
 * @throws TesseraError CONFIG_INVALID
 */
export function checkNames(prefix: string, revision: string): void {
  if (!prefixPattern.test(prefix)) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `nats.prefix is 1 to 32 letters, digits, '-' or '_' and begins with a letter or digit, not ${JSON.stringify(prefix)}`,
    );
  }
  if (!tokenPattern.test(revision)) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `a model revision is 1 to 64 letters, digits, '-' or '_', not ${JSON.stringify(revision)}`,
    );
  }
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : undefined;
}

/**
 * Every name that one deployment and one model revision use on NATS.
 * A prefix is one token, and all names are made from it, so two prefixes on one server never meet.
 */
export class Subjects {
  /** @throws TesseraError CONFIG_INVALID when a name could not stand in a subject */
  constructor(
    readonly prefix: string,
    readonly revision: string,
  ) {
    checkNames(prefix, revision);
  }

  stream(kind: StreamKind): string {
    return `${this.prefix}_${kind}`;
  }

  /** The durable consumer that the replicas of one stage and revision share. */
  durable(): string {
    return `rev_${this.revision}`;
  }

  /** The object store bucket of media too large for a message. */
  blobBucket(): string {
    return `${this.prefix}_blobs`;
  }

  /** The KV bucket of tombstones. */
  tombstoneBucket(): string {
    return `${this.prefix}_cancelled`;
  }

  /** What a stream takes: every revision's messages of its kind. */
  streamSubjects(kind: StreamKind): string {
    return `${this.prefix}.${kind}.>`;
  }

  /** This revision's messages of a kind. */
  revisionFilter(kind: StreamKind): string {
    return `${this.prefix}.${kind}.${this.revision}.>`;
  }

  /** One request's messages of a kind. */
  requestFilter(kind: StreamKind, requestId: string): string {
    return `${this.prefix}.${kind}.${this.revision}.${checkRequestId(requestId)}.>`;
  }

  message(kind: StreamKind, at: SubjectParts): string {
    return `${this.prefix}.${kind}.${this.revision}.${checkRequestId(at.requestId)}.${at.item}.${at.tile}.${at.part}`;
  }

  /** Reads a message subject back; undefined when it is none. */
  parse(subject: string): SubjectParts | undefined {
    const tokens = subject.split('.');
    if (tokens.length !== 7) return undefined;
    const [, , , requestId, itemText, tileText, partText] = tokens;
    const [item, tile] = [count(itemText), count(tileText)];
    const part = partText === failurePart ? failurePart : count(partText);
    if (requestId === undefined || item === undefined || tile === undefined || part === undefined) return undefined;
    return { requestId, item, tile, part };
  }

  /** Core NATS: a request was cancelled. With no id, the cancels of all requests. */
  cancel(requestId?: string): string {
    return `${this.prefix}.cancel.${requestId === undefined ? '*' : checkRequestId(requestId)}`;
  }

  /** Core NATS: engines of this revision announce themselves. */
  engines(): string {
    return `${this.prefix}.engines.${this.revision}`;
  }
}
