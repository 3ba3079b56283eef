/** What a media item is. Each kind has a folder of its own and a row in the functions of this package's index. */
export type MediaKind = 'image';

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'avif' | 'tiff' | 'svg';

/** What a picture's header says. */
export interface ImageInfo {
  readonly kind: 'image';
  readonly format: ImageFormat;
  /** Pixels, as the picture is to be seen: its EXIF orientation is applied. For SVG the size it is drawn at. */
  readonly width: number;
  readonly height: number;
  /** Frames of an animation or pages of a document; only the first is ever decoded. */
  readonly pages: number;
  /** The most bytes of pixels that decoding holds at one time. */
  readonly memoryBytes: number;
}

/** What a media item's header says, by kind. */
export type MediaInfo = ImageInfo;

/** A decoded picture: 8-bit RGB, row by row, without padding between rows. */
export interface ImageRaster {
  readonly kind: 'image';
  readonly width: number;
  readonly height: number;
  /** `width * height * 3` bytes. */
  readonly data: Uint8Array;
}

/** A decoded media item, by kind. */
export type MediaRaster = ImageRaster;
