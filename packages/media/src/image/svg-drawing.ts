/** What the drawing process is asked: to draw a file at exactly this size in pixels, on this R, G, B. */
export interface SvgDrawing {
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly background: readonly number[];
  /** What it may take: milliseconds of computing, and bytes of memory of the whole process. */
  readonly maxCpuMs: number;
  readonly maxMemoryBytes: number;
}

/** What it says: that it has begun; then 8-bit RGB, the renderer's words, or which limit was passed. */
export type SvgReply =
  | { readonly begun: true }
  | { readonly data: Uint8Array }
  | { readonly failure: string }
  | { readonly over: 'cpu' | 'memory' };
