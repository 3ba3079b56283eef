/** What a media item may cost. Everything that probes or decodes takes these, and refuses from the header alone. */
export interface MediaLimits {
  /** The most bytes of the file. */
  readonly maxBytes: number;
  /** The most pixels, width times height. */
  readonly maxPixels: number;
  /** The most pixels of one side: bounds the filter tables of a picture that is one pixel high. */
  readonly maxSide: number;
  /** How long decoding one item may take, in whole seconds: bounds an SVG made to be slow. */
  readonly decodeTimeoutS: number;
}

/** 64 megapixels cover the cameras of telephones; 65535 is the longest side that JPEG knows. */
export const defaultMediaLimits: MediaLimits = {
  maxBytes: 64 * 1024 * 1024,
  maxPixels: 64_000_000,
  maxSide: 65_535,
  decodeTimeoutS: 30,
};

export function withDefaultLimits(limits: Partial<MediaLimits> | undefined): MediaLimits {
  return { ...defaultMediaLimits, ...limits };
}
