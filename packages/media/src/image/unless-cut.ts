/** What reading a header's fields gives; undefined where the bytes end before them. */
export function unlessCut<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (reason) {
    // What a DataView says of a place outside.
    if (reason instanceof RangeError) return undefined;
    throw reason;
  }
}
