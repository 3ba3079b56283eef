import { basename, dirname, join } from 'node:path';

/** More files than anybody cuts a model into. */
const maxFiles = 1024;

/**
 * The files of a model that is cut into several, of which `path` is one: llama.cpp names them NAME-00001-of-00003.gguf. Of any other
 * name the file itself.
 */
export function splitFiles(path: string): string[] {
  const [, name, , count] = /^(.+)-(\d{5})-of-(\d{5})\.gguf$/.exec(basename(path)) ?? [];
  const files = Number(count ?? 1);
  if (files < 2 || files > maxFiles) return [path];
  const file = (n: number): string => `${name}-${String(n).padStart(5, '0')}-of-${count}.gguf`;
  return Array.from({ length: files }, (_, index) => join(dirname(path), file(index + 1)));
}
