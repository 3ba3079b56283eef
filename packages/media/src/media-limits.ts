/** What a media item may cost. Everything that probes or decodes takes these, and refuses from the header alone. */
export interface MediaLimits {
  /** The most bytes of the file. */
  readonly maxBytes: number;
  /** The most pixels, width times height. */
  readonly maxPixels: number;
  /** The most pixels of one side: bounds the filter tables of a picture that is one pixel high. */
  readonly maxSide: number;
  /** How long decoding one item may take, in whole seconds. */
  readonly decodeTimeoutS: number;
  /** How much computing drawing one SVG may take, in milliseconds of one core: a few hundred bytes can ask for hours. */
  readonly svgCpuMs: number;
  /** How much memory the process that draws it may have, in bytes. */
  readonly svgMemoryBytes: number;
}

/** 64 megapixels cover the cameras of telephones; 65535 is the longest side that JPEG knows. */
export const defaultMediaLimits: MediaLimits = {
  maxBytes: 64 * 1024 * 1024,
  maxPixels: 64_000_000,
  maxSide: 65_535,
  decodeTimeoutS: 30,
  svgCpuMs: 5000,
  svgMemoryBytes: 512 * 1024 * 1024,
};

export function withDefaultLimits(limits: Partial<MediaLimits> | undefined): MediaLimits {
  return { ...defaultMediaLimits, ...limits };
}
