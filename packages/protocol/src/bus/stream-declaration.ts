/** The generated code of a message. */
export interface MessageCodec<Message> {
  encode(message: Message): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Message;
}

/** What is said of each stream, or of the several over which one kind of message is spread. */
export interface StreamDeclaration<Name extends string = string> {
  /** Its name in settings, metrics, traces and logs. */
  readonly name: Name;
  /** Its word in subjects and in the names of streams. */
  readonly place: string;
  /** What takes the bytes, as `nats.<name>Bytes` says. */
  readonly contents: string;
  /** The most bytes, unless it is set otherwise: of a queue for each revision, of all others for all streams together. */
  readonly maxBytes: number;
}

/** A kind of message that is spread over several streams (`nats.shards`), which all revisions share. */
export interface SpreadDeclaration<Name extends string = string> extends StreamDeclaration<Name> {
  /** A work queue drops a message when it is acknowledged; `limits` keeps it until it is deleted or old. */
  readonly retention: 'workqueue' | 'limits';
  /** How long a message is kept that nobody takes: as long as a request may last, or as uploads are kept. */
  readonly keptFor: 'request' | 'upload';
}
