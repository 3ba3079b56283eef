import { OrtApi } from './ort-api.js';
import { findOrtLibrary } from './ort-library.js';

/** The C API, or why it cannot be had here. */
export type LoadedOrtApi = { readonly api: OrtApi } | { readonly missing: string };

let loaded: Promise<LoadedOrtApi> | undefined;

/** The C API of this thread, loaded once. */
export function loadOrtApi(): Promise<LoadedOrtApi> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<LoadedOrtApi> {
  const library = findOrtLibrary();
  if ('missing' in library) return library;
  try {
    return { api: await OrtApi.load(library.path) };
  } catch (reason) {
    return { missing: reason instanceof Error ? reason.message : String(reason) };
  }
}
