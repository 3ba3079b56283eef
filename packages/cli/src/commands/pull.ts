import { TesseraError } from '@tessera/protocol';
import { type PullChoices, pulledModel } from '../model-source.js';
import { note } from '../terminal.js';

export interface PullCommandOptions extends PullChoices {
  readonly json: boolean;
}

/** Fetches a model from the hub into the cache, and prints where it is. */
export async function pull(text: string, options: PullCommandOptions, signal: AbortSignal): Promise<void> {
  const { parseModelId } = await import('@tessera/hub');
  const { json, ...choices } = options;
  const id = parseModelId(text);
  if (id === undefined) {
    throw new TesseraError('REQUEST_INVALID', `"${text}" is no id of a model; one is ORG/NAME[@REVISION][:FILE]`);
  }
  const { commit, path, files, bytes, fetchedBytes, from } = await pulledModel(id, signal, choices);
  if (json) {
    const { repository, revision } = id;
    process.stdout.write(
      `${JSON.stringify({ id: repository, revision, commit, path, files, bytes, fetchedBytes, from })}\n`,
    );
    return;
  }
  process.stdout.write(`${path}\n`);
  const size = (count: number): string => `${(count / 2 ** 20).toFixed(1)} MiB`;
  note(`${files.length} files, ${size(bytes)}, of commit ${commit.slice(0, 12)}; fetched ${size(fetchedBytes)}`);
}
