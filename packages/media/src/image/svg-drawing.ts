/** What the drawing process is asked: to draw a file at exactly this size in pixels, on this R, G, B. */
export interface SvgDrawing {
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly background: readonly number[];
}

/** What it answers: 8-bit RGB, or the renderer's words. */
export type SvgReply = { readonly data: Uint8Array } | { readonly failure: string };
