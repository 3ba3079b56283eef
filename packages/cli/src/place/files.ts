import { readFile, rename, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import type { PlacementFile } from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { placementFromText } from './config-map.js';

/** @throws TesseraError CONFIG_INVALID */
export async function read(path: string): Promise<string> {
  return await readFile(resolve(path), 'utf8').catch((cause: unknown) => {
    throw new TesseraError('CONFIG_INVALID', `${path} cannot be read`, { cause });
  });
}

/** A file's text; - is what comes on stdin. */
export async function readOrStdin(path: string): Promise<string> {
  return path === '-' ? await text(process.stdin) : await read(path);
}

/**
 * A placement, or the manifest of a ConfigMap that holds one.
 * @throws TesseraError CONFIG_INVALID
 */
export async function readPlacement(path: string): Promise<PlacementFile> {
  return parsePlacement(path, await readOrStdin(path));
}

/**
 * The placement that is to be followed by another one. Nothing on stdin is none: that is what `kubectl get
 * --ignore-not-found` says.
 * @throws TesseraError CONFIG_INVALID
 */
export async function readCurrent(path: string | undefined): Promise<PlacementFile | undefined> {
  if (path === undefined) return undefined;
  const said = await readOrStdin(path);
  return path === '-' && said.trim() === '' ? undefined : parsePlacement(path, said);
}

/** The same of a file that may not be there yet. */
export async function readPlacementIfThere(path: string): Promise<PlacementFile | undefined> {
  const there = await readFile(resolve(path), 'utf8').catch(() => undefined);
  return there === undefined ? undefined : parsePlacement(path, there);
}

function parsePlacement(path: string, said: string): PlacementFile {
  return placementFromText(said, (why, cause) => invalidPlacement(path, why, cause));
}

export function invalidPlacement(path: string, why: string, cause?: unknown): TesseraError {
  return new TesseraError('CONFIG_INVALID', `the placement ${path} ${why}`, { cause });
}

/** Whole or not at all: others read it. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const beside = `${path}.${process.pid}.new`;
  await writeFile(beside, content);
  await rename(beside, path);
}
