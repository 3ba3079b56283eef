import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TesseraError } from '@tessera/protocol';
import { manifestFileName, type StageName } from './manifest.js';
import { type Bundle, readBundle } from './read-bundle.js';

/** What one process needs of a bundle. */
export interface BundlePart {
  /** Whose it is; absent: the manifest alone, which is all that a gateway reads. */
  readonly stage?: StageName;
  /** Of an LLM that is cut by layers, the piece. */
  readonly piece?: number;
}

export interface ExtractOptions {
  readonly onProgress?: (progress: { doneBytes: number; totalBytes: number; file: string }) => void;
  readonly signal?: AbortSignal;
}

export interface ExtractedPart {
  readonly revision: string;
  /** Files of the part besides the manifest, and their bytes. */
  readonly files: readonly string[];
  readonly bytes: number;
  /** Those that an earlier run had brought already. */
  readonly kept: readonly string[];
}

/** A file on its way; one that was left by a run that was killed is begun again. */
const suffix = '.partial';

/**
 * The files of a part, the manifest not counted.
 * @throws TesseraError UNSUPPORTED when the model has no such stage; CONFIG_INVALID when there is no such piece
 */
function filesOfPart(bundle: Bundle, { stage, piece }: BundlePart): string[] {
  if (stage === undefined) return [];
  bundle.stage(stage);
  return piece === undefined ? bundle.filesOf(stage) : bundle.filesOfLayers(piece);
}

/**
 * Copies one part of a bundle into a folder, which may be there, as a mounted volume is. Every file is compared with its
 * digest on the way and gets its name when it is whole; the manifest comes last, and without it the folder is no bundle. So
 * whoever finds a bundle there finds all of it, and a run that was ended goes on where the next one begins.
 * @throws TesseraError CHECKPOINT_INVALID when the bundle lacks a file, or has it with other contents; CONFIG_INVALID when
 *   the folder holds something else, or has no room for it; the signal's reason
 */
export async function extractPart(
  bundle: Bundle,
  part: BundlePart,
  outDir: string,
  { onProgress, signal }: ExtractOptions = {},
): Promise<ExtractedPart> {
  const out = resolve(outDir);
  const files = filesOfPart(bundle, part);
  const { manifest } = bundle;
  await bundle.require(files);
  await refuseOthers(out, bundle, files);
  await mkdir(out, { recursive: true }).catch((reason: Error) => {
    throw new TesseraError('CONFIG_INVALID', `${out} cannot be made: ${reason.message}`, { cause: reason });
  });
  const kept: string[] = [];
  for (const name of files) if (await isThere(join(out, name), manifest.files[name]?.bytes)) kept.push(name);
  const missing = files.filter((name) => !kept.includes(name));
  const totalBytes = bundle.bytesOf(files);
  await requireRoom(out, bundle.bytesOf(missing));
  let doneBytes = bundle.bytesOf(kept);
  for (const name of missing) {
    await bring(bundle, name, out, signal, (bytes) => {
      doneBytes += bytes;
      onProgress?.({ doneBytes, totalBytes, file: name });
    });
  }
  const manifestPath = join(out, manifestFileName);
  await copyFile(join(bundle.dir, manifestFileName), `${manifestPath}${suffix}`);
  await settle(manifestPath);
  return { revision: manifest.revision, files, bytes: totalBytes, kept };
}

/** A folder of something else is left alone: what it has of the same name is not what is wanted. */
async function refuseOthers(out: string, bundle: Bundle, files: readonly string[]): Promise<void> {
  if (out === bundle.dir) throw new TesseraError('CONFIG_INVALID', `${out} is the bundle itself; name another folder`);
  const names: string[] = await readdir(out).catch((reason: NodeJS.ErrnoException) => {
    if (reason.code === 'ENOENT') return [];
    throw new TesseraError('CONFIG_INVALID', `${out} cannot be used: ${reason.message}`, { cause: reason });
  });
  if (names.includes(manifestFileName)) {
    const { revision } = (await readBundle(out, [])).manifest;
    if (revision !== bundle.manifest.revision) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `${out} has a part of revision ${revision}, not of ${bundle.manifest.revision}; name a folder of its own for each revision`,
      );
    }
  }
  const known = new Set<string>([manifestFileName, ...Object.keys(bundle.manifest.files)]);
  // A volume's own folder, and what an earlier run left.
  const stranger = names.find((name) => name !== 'lost+found' && !known.has(name.replace(suffix, '')));
  if (stranger !== undefined) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `${out} has a ${stranger}, which is no file of this bundle; name an empty folder`,
    );
  }
  for (const name of names) {
    if (name.endsWith(suffix) && !files.includes(name.slice(0, -suffix.length))) await rm(join(out, name));
  }
}

async function isThere(path: string, bytes: number | undefined): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isFile() && found.size === bytes,
    () => false,
  );
}

async function requireRoom(out: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(out);
  if (bavail * bsize >= bytes) return;
  throw new TesseraError('CONFIG_INVALID', `${out} has room for ${bavail * bsize} bytes; ${bytes} are needed`);
}

async function bring(
  bundle: Bundle,
  name: string,
  out: string,
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const path = join(out, name);
  const hash = createHash('sha256');
  const watch = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk);
      onBytes(chunk.length);
      done(null, chunk);
    },
  });
  const from = createReadStream(bundle.file(name), { highWaterMark: 1024 * 1024 });
  try {
    await pipeline(from, watch, createWriteStream(`${path}${suffix}`), { signal });
  } catch (reason) {
    await rm(`${path}${suffix}`, { force: true }).catch(() => {});
    signal?.throwIfAborted();
    const why = reason instanceof Error ? reason.message : String(reason);
    throw new TesseraError('CONFIG_INVALID', `${path} cannot be written: ${why}`, { cause: reason });
  }
  if (hash.digest('hex') !== bundle.manifest.files[name]?.sha256) {
    await rm(`${path}${suffix}`, { force: true });
    throw new TesseraError('CHECKPOINT_INVALID', `${bundle.file(name)}: its contents are not what was compiled`);
  }
  await settle(path);
}

/** Gives a file its name once it is on the disk: a name that survives a power cut stands for all of it. */
async function settle(path: string): Promise<void> {
  const file = await open(`${path}${suffix}`);
  await file.sync();
  await file.close();
  await rename(`${path}${suffix}`, path);
}
