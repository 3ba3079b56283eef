/** A model on a hub: what `ORG/NAME@REVISION:FILE` says. */
export interface ModelId {
  /** ORG/NAME, or NAME alone for the oldest ones. */
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** Of a repository of GGUF files: the one that is meant, by its name or by its type, such as Q8_0. */
  readonly file?: string;
}

const defaultRevision = 'main';
const part = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?$/;

/** A revision that is one commit for ever, by its whole name. */
export const isCommit = (text: string): boolean => /^[0-9a-f]{40}$/.test(text);

/** Git takes no such names, and each becomes a path below the cache's folder. */
export function isSafePath(path: string): boolean {
  if (path.length === 0 || path.length > 1024) return false;
  for (const character of path) if (character < ' ' || '\\:*?"<>|\u007f'.includes(character)) return false;
  return path.split('/').every((name) => name !== '' && name !== '.' && name !== '..');
}

/** What an id means; undefined where a text is none. */
export function parseModelId(text: string): ModelId | undefined {
  const [, repository = '', revision = defaultRevision, file] = /^([^@:]+)(?:@([^:]+))?(?::(.+))?$/.exec(text) ?? [];
  const names = repository.split('/');
  if (names.length > 2 || !names.every((name) => part.test(name) && !/--|\.\./.test(name))) return undefined;
  if (!isSafePath(revision) || (file !== undefined && !isSafePath(file))) return undefined;
  return file === undefined ? { repository, revision } : { repository, revision, file };
}
