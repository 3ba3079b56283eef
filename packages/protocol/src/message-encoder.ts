import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** A message as ts-proto writes it. */
export interface EncodableType<Message> {
  encode(message: Message, writer?: BinaryWriter): { finish(): Uint8Array };
}

/**
 * Encodes messages of one type, one after the other, into memory that is kept: to let each begin with an empty buffer, which
 * doubles until it fits, takes longer than to write some kilobytes. It stays as large as the largest message was.
 */
export class MessageEncoder<Message> {
  #writer = new BinaryWriter();

  constructor(private readonly type: EncodableType<Message>) {}

  /** The message's bytes, which fill an ArrayBuffer of their own. */
  encode(message: Message): Uint8Array<ArrayBuffer> {
    try {
      return this.type.encode(message, this.#writer).finish() as Uint8Array<ArrayBuffer>;
    } catch (reason) {
      // What was written of it is in there.
      this.#writer = new BinaryWriter();
      throw reason;
    }
  }
}
