/** What ONNX Runtime's C API refused, in its own words. */
export class OrtError extends Error {
  override readonly name = 'OrtError';

  /** @param code OrtErrorCode of the C API */
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}
