/** gRPC status codes by name, so that this table needs no gRPC library. */
export type GrpcStatusName =
  | 'CANCELLED'
  | 'UNKNOWN'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE';

interface ErrorRow {
  readonly grpc: GrpcStatusName;
  readonly http: number;
  /** Whether the same call may succeed later without a change by the caller. */
  readonly retryable: boolean;
  readonly meaning: string;
  readonly whatToDo: string;
}

/** Every failure that Tessera names. docs/errors.md is made from this table. */
export const errorTable = {
  REQUEST_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    meaning: 'The request breaks the contract: a field is missing, unknown, out of range or in the wrong order.',
    whatToDo: 'Correct the field that the message names.',
  },
  PROMPT_EMPTY: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    meaning: 'The conversation has no message, or its last message has neither text nor media.',
    whatToDo: 'Send at least one user message with text or media.',
  },
  PROMPT_TOO_LONG: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    meaning: 'Prompt and media spans together are longer than the model context.',
    whatToDo: 'Shorten the conversation, send fewer pictures, or use a model with a longer context.',
  },
  MEDIA_NOT_RECOGNISED: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    meaning: 'The bytes are of no media format that the model takes.',
    whatToDo: 'Send JPEG, PNG, WebP, GIF, AVIF, TIFF or SVG.',
  },
  MEDIA_UNSUPPORTED: {
    grpc: 'INVALID_ARGUMENT',
    http: 415,
    retryable: false,
    meaning: 'The media is of a format that is taken, but in a form of it that is not, such as floating-point TIFF.',
    whatToDo: 'Convert it to an ordinary JPEG, PNG or WebP; the message names what is not supported.',
  },
  MEDIA_CORRUPT: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    meaning: 'The media has a readable header but cannot be decoded to its end.',
    whatToDo: 'Send the whole file again; check that the upload was not cut.',
  },
  MEDIA_EMPTY: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    meaning: 'The media has no bytes or no pixels.',
    whatToDo: 'Send a picture of at least 1x1 pixel.',
  },
  MEDIA_TOO_LARGE: {
    grpc: 'INVALID_ARGUMENT',
    http: 413,
    retryable: false,
    meaning: 'The media has more bytes or more pixels than the limit that the message names.',
    whatToDo: 'Scale the picture down, or raise the limit of the deployment.',
  },
  MEDIA_TOO_MANY: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    meaning: 'The request carries more media items than the limit that the message names.',
    whatToDo: 'Send fewer media items in one request.',
  },
  MEDIA_MISSING: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    meaning:
      'A message refers to media whose parts were not sent completely, or to an upload that is not there any more.',
    whatToDo:
      'Send every part of each media item, the last one marked last, before closing the request stream; upload again what has expired.',
  },
  TENSOR_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retryable: false,
    meaning: 'A tensor has the wrong type, shape or number of bytes.',
    whatToDo: 'Ask Describe for the shapes that the stage takes.',
  },
  MESSAGE_TOO_LARGE: {
    grpc: 'INVALID_ARGUMENT',
    http: 413,
    retryable: false,
    meaning: 'A message is over the size limit of the connection it would travel on.',
    whatToDo: 'Send media in parts no larger than the limit that the message names.',
  },
  REQUEST_STALLED: {
    grpc: 'ABORTED',
    http: 408,
    retryable: true,
    meaning: 'The client began a request and paused for too long before it had sent all of it.',
    whatToDo: 'Send the parts of the media without pauses; begin a request when its media are at hand.',
  },
  MODEL_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    http: 404,
    retryable: false,
    meaning: 'No model of that name is served here.',
    whatToDo: 'Ask Describe for the name of the model that is served.',
  },
  UNSUPPORTED: {
    grpc: 'UNIMPLEMENTED',
    http: 501,
    retryable: false,
    meaning: 'The model that is served, or this version of Tessera, cannot do what was asked.',
    whatToDo: 'Ask Describe what the model can do.',
  },
  CHECKPOINT_INVALID: {
    grpc: 'FAILED_PRECONDITION',
    http: 500,
    retryable: false,
    meaning: 'A checkpoint or bundle is incomplete, corrupt or of an unknown kind.',
    whatToDo: 'Fetch the model again; the message names the file and what is wrong with it.',
  },
  STORAGE_FULL: {
    grpc: 'FAILED_PRECONDITION',
    http: 500,
    retryable: false,
    meaning: 'A disk has less room than what is to be written to it needs.',
    whatToDo: 'Make room, or name a folder on another disk; the message says how much is needed.',
  },
  CONFIG_INVALID: {
    grpc: 'FAILED_PRECONDITION',
    http: 500,
    retryable: false,
    meaning: 'A setting of a service is unknown or out of range.',
    whatToDo: 'Correct the setting that the message names; docs/configuration.md lists all of them.',
  },
  HUB_UNAVAILABLE: {
    grpc: 'UNAVAILABLE',
    http: 503,
    retryable: true,
    meaning: 'The hub that models are fetched from cannot be reached, is slow, or asks for fewer requests.',
    whatToDo:
      'Try again: what has come is kept. HF_ENDPOINT names another hub; with a complete snapshot none is needed.',
  },
  HUB_DENIED: {
    grpc: 'FAILED_PRECONDITION',
    http: 403,
    retryable: false,
    meaning: 'The hub does not give a model away without a token, or not to the account of this one.',
    whatToDo: 'Accept the terms of a gated model on its page, and set HF_TOKEN to a token of that account.',
  },
  HUB_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    http: 404,
    retryable: false,
    meaning: 'The hub has no such model, revision or file.',
    whatToDo: 'Look at its page on the hub; an id is ORG/NAME, ORG/NAME@REVISION or ORG/NAME:FILE.gguf.',
  },
  EXPERT_NOT_HELD: {
    grpc: 'FAILED_PRECONDITION',
    http: 503,
    retryable: true,
    meaning: 'An expert shard was sent rows for an expert that it does not hold. Engines are told so, not callers.',
    whatToDo: 'Nothing: the engine asks another shard, and reads the placement again.',
  },
  QUEUE_FULL: {
    grpc: 'RESOURCE_EXHAUSTED',
    http: 429,
    retryable: true,
    meaning: 'A queue is at its limit: nothing was admitted.',
    whatToDo: 'Try again after the delay in RetryInfo, or scale the stage that the message names.',
  },
  STAGE_UNAVAILABLE: {
    grpc: 'UNAVAILABLE',
    http: 503,
    retryable: true,
    meaning: 'No replica of a stage is ready, or it died and did not come back in time.',
    whatToDo: 'Try again; look at the health of the stage that the message names.',
  },
  DRAINING: {
    grpc: 'UNAVAILABLE',
    http: 503,
    retryable: true,
    meaning: 'The process is shutting down and takes no new work.',
    whatToDo: 'Try again by a new connection: another replica will answer.',
  },
  DEADLINE_EXCEEDED: {
    grpc: 'DEADLINE_EXCEEDED',
    http: 504,
    retryable: true,
    meaning: 'The deadline passed before the answer was complete.',
    whatToDo: 'Allow more time, or ask for fewer tokens or steps.',
  },
  CANCELLED: {
    grpc: 'CANCELLED',
    http: 499,
    retryable: false,
    meaning: 'The caller went away or cancelled.',
    whatToDo: 'Nothing: the work was stopped and its memory freed.',
  },
  DELIVERY_EXHAUSTED: {
    grpc: 'UNAVAILABLE',
    http: 503,
    retryable: true,
    meaning: 'A job was delivered as often as allowed and never finished.',
    whatToDo: 'Try again; the log of the stage that the message names says why its workers failed.',
  },
  MODEL_OUTPUT_INVALID: {
    grpc: 'INTERNAL',
    http: 500,
    retryable: false,
    meaning: 'The model computed values for this request that are not numbers, or allow no token at all.',
    whatToDo: 'Compile the checkpoint again and check its weights; other words may do better.',
  },
  INTERNAL: {
    grpc: 'INTERNAL',
    http: 500,
    retryable: false,
    meaning: 'A fault in Tessera itself.',
    whatToDo: 'Report it with the request id; the log of the service has the cause.',
  },
} as const satisfies Record<string, ErrorRow>;

/** A code of the error table, docs/errors.md. */
export type ErrorCode = keyof typeof errorTable;

export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(errorTable, value);
}

/** The one error class. A failure has a code of the table, a sentence for the caller, and maybe a cause, a delay and a field. */
export class TesseraError extends Error {
  override readonly name = 'TesseraError';

  constructor(
    /** What failed: a code of the table. */
    readonly code: ErrorCode,
    message: string,
    readonly options: {
      cause?: unknown;
      /** When trying again is worth it, in milliseconds from now. */
      retryAfterMs?: number;
      /** The path of the field that is wrong, from the request's message on: such as `start.messages[0].content`. */
      field?: string;
      /** The request that it is about, as the service that was called says. */
      requestId?: string;
      /** The stage whose failure it is, where that is not the one that was called. */
      stage?: string;
    } = {},
  ) {
    super(message, { cause: options.cause });
  }

  /** What the error table says of the code. */
  get row(): ErrorRow {
    return errorTable[this.code];
  }

  /** Whether the same call may succeed later without a change by the caller. */
  get retryable(): boolean {
    return this.row.retryable;
  }

  /** When trying again is worth it, in milliseconds from now; undefined where that is not known. */
  get retryAfterMs(): number | undefined {
    return this.options.retryAfterMs;
  }

  /** The path of the field that is wrong, from the request's message on: such as `start.messages[0].content`. */
  get field(): string | undefined {
    return this.options.field;
  }

  /** The request that it is about, as the service that was called names it. */
  get requestId(): string | undefined {
    return this.options.requestId;
  }

  /** The stage whose failure it is, where that is not the one that was called. */
  get stage(): string | undefined {
    return this.options.stage;
  }

  /** The request breaks the contract in this field. The sentence begins with its path. */
  static invalidField(field: string, problem: string): TesseraError {
    return new TesseraError('REQUEST_INVALID', `${field} ${problem}`, { field });
  }

  /** The same error as one about this field, unless it names a field already. */
  inField(field: string): TesseraError {
    return new TesseraError(this.code, this.message, { ...this.options, field: this.options.field ?? field });
  }

  /**
   * The same error for whoever sent the message that has this one in its field `path`. A check names fields of the message
   * that it is given, and each door those of the request.
   */
  under(path: string): TesseraError {
    const { field } = this.options;
    if (field === undefined) return this;
    // Not one that begins with a word and a name, as in: media "a" is cut.
    const isNamed = this.message.startsWith(field) && !this.message.startsWith(`${field} "`);
    const message = isNamed ? `${path}.${this.message}` : this.message;
    return new TesseraError(this.code, message, { ...this.options, field: `${path}.${field}` });
  }

  /** The same error as that of a stage, unless it is known to be another one's. */
  ofStage(stage: string): TesseraError {
    if (this.options.stage !== undefined) return this;
    return new TesseraError(this.code, this.message, { cause: this, ...this.options, stage });
  }

  /** Turns anything thrown into a TesseraError; used where an error leaves a process. */
  static from(reason: unknown): TesseraError {
    if (reason instanceof TesseraError) return reason;
    if (reason instanceof Error && (reason.name === 'AbortError' || reason.name === 'CancelledError')) {
      return new TesseraError('CANCELLED', 'the request was cancelled', { cause: reason });
    }
    const message = reason instanceof Error ? reason.message : String(reason);
    return new TesseraError('INTERNAL', message, { cause: reason });
  }
}
