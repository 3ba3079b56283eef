import { basename } from 'node:path';

/** What a model is called where nobody says: its folder, or its GGUF file without what tells that it is one, or which of several. */
export function modelName(path: string): string {
  return basename(path).replace(/(-\d{5}-of-\d{5})?\.gguf$/, '');
}
