/** Who speaks. The model's chat template decides in which order they may. */
export type Role = 'system' | 'user' | 'assistant' | 'developer' | 'tool';

/** Where the bytes of a picture are: in a file, at hand, or behind an `http:`, `https:` or `data:` URL. */
export type LocalMediaSource =
  | { readonly file: string }
  | { readonly bytes: Uint8Array }
  | { readonly url: string | URL };

/** Where they are, or the digest that `upload` gave for them. */
export type MediaSource = LocalMediaSource | { readonly digest: string };

/**
 * A picture that a message shows: JPEG, PNG, WebP, GIF, AVIF, TIFF or SVG. Show the same object again, in this message or
 * another, and its bytes are sent once.
 */
export interface ImagePart {
  /** Where its bytes are. */
  readonly image: MediaSource;
  /** Its type, such as `image/png`; absent: what its bytes say. One that its bytes contradict is refused. */
  readonly mimeType?: string;
  /** How finely it is to be looked at; absent: as the model's own preprocessing says. */
  readonly detail?: 'low' | 'high';
  /** What errors call it; absent: its place, and the name of its file. */
  readonly name?: string;
}

/** A piece of a message: words, or a picture. Words are never parsed for special tokens. */
export type ContentPart = string | ImagePart;

/** One turn of a conversation. */
export interface Message {
  /** Who speaks. */
  readonly role: Role;
  /** What is said and shown, in order. */
  readonly content: string | readonly ContentPart[];
}
