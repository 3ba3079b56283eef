import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { chatTemplateFolder, checkpointFiles } from '@tessera/compiler';
import type { ModelId, PulledModel } from '@tessera/hub';
import { TesseraError } from '@tessera/protocol';
import { note, progress } from './terminal.js';

/** How commands that take a model say what it may be. */
export const modelForms = 'a folder, a GGUF file, or ORG/NAME[@REVISION][:FILE] on the hub';

/** What of a model is looked for on the hub, and how. */
export interface PullChoices {
  readonly verify?: boolean;
  readonly withoutWeights?: boolean;
  readonly timeoutMs?: number;
  readonly retries?: number;
}

export interface LocalModel {
  /** Absolute. */
  readonly path: string;
  /** What it is called where its folder has another name. */
  readonly name?: string;
  /** Of one of the hub: the ids that mean it, as it was asked for and by its commit. */
  readonly ids?: readonly string[];
}

/**
 * Where a model is on this machine: what is there by that path, else what the hub has by that id, pulled first.
 * @throws TesseraError as pullModel
 */
export async function localModel(text: string, signal: AbortSignal, choices: PullChoices = {}): Promise<LocalModel> {
  const path = resolve(text);
  if (await stat(path).catch(() => undefined)) return { path };
  // Only what asks a hub loads what does that.
  const { parseModelId } = await import('@tessera/hub');
  const id = parseModelId(text);
  // Whoever reads the path says what is missing.
  if (id === undefined) return { path };
  try {
    const pulled = await pulledModel(id, signal, choices);
    return {
      path: pulled.path,
      name: pulled.path === pulled.dir ? basename(id.repository) : undefined,
      ids: [idText(id), idText({ ...id, revision: pulled.commit })],
    };
  } catch (reason) {
    if (!(reason instanceof TesseraError) || !reason.code.startsWith('HUB_')) throw reason;
    throw new TesseraError(reason.code, `nothing is at ${path}, and ${reason.message}`, reason.options);
  }
}

/** The id that a text means where nothing is at that path: always with the revision; undefined where it means none. */
export async function hubId(text: string): Promise<string | undefined> {
  if (await stat(resolve(text)).catch(() => undefined)) return undefined;
  const { parseModelId } = await import('@tessera/hub');
  const id = parseModelId(text);
  return id === undefined ? undefined : idText(id);
}

const idText = ({ repository, revision, file }: ModelId): string =>
  `${repository}@${revision}${file === undefined ? '' : `:${file}`}`;

/** Pulls a model, with progress on stderr. */
export async function pulledModel(id: ModelId, signal: AbortSignal, choices: PullChoices): Promise<PulledModel> {
  const { pullModel } = await import('@tessera/hub');
  const bar = progress(`pulling ${id.repository}`);
  try {
    return await pullModel(id, {
      ...choices,
      wanted: [...checkpointFiles, `${chatTemplateFolder}/*.jinja`],
      signal,
      onProgress: ({ doneBytes, totalBytes, file }) => bar.update(doneBytes, totalBytes, file),
      onNote: note,
    });
  } finally {
    bar.stop();
  }
}
