import { type EncodeRequest, maxPartBytes, quoted, TesseraError } from '@tessera/protocol';

/**
 * The bytes of the one media item that a call sends in parts. Reads no further than the last part.
 * @throws TesseraError REQUEST_INVALID on a second item; MESSAGE_TOO_LARGE on a part over 512 KiB; MEDIA_TOO_LARGE over
 *   `maxBytes`; MEDIA_MISSING when the stream ends before the last part
 */
export async function collectMedia(requests: AsyncIterable<EncodeRequest>, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  let name: string | undefined;
  for await (const { mediaPart } of requests) {
    if (mediaPart === undefined) throw TesseraError.invalidField('media_part', 'is missing');
    name ??= mediaPart.name;
    if (mediaPart.name !== name) {
      throw TesseraError.invalidField(
        'media_part.name',
        `changed from ${quoted(name)} to ${quoted(mediaPart.name)}; send one item a call`,
      );
    }
    if (mediaPart.data.length > maxPartBytes) {
      const size = mediaPart.data.length;
      throw new TesseraError('MESSAGE_TOO_LARGE', `a media part has ${size} bytes; the limit is ${maxPartBytes}`, {
        field: 'media_part.data',
      });
    }
    bytes += mediaPart.data.length;
    if (bytes > maxBytes) {
      throw new TesseraError('MEDIA_TOO_LARGE', `the media has more than ${maxBytes} bytes, which is the limit`, {
        field: 'media_part.data',
      });
    }
    parts.push(mediaPart.data);
    if (mediaPart.last) return Buffer.concat(parts);
  }
  const where = name === undefined ? 'no media part came' : `media ${quoted(name)} ended after ${bytes} bytes`;
  throw new TesseraError('MEDIA_MISSING', `${where}; mark the last part with last`, { field: 'media_part.last' });
}
