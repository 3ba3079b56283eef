import { TesseraError } from '@tessera/protocol';
import { GgufFile, type StoredTensor } from './gguf-file.js';
import { Metadata } from './metadata.js';
import { splitFiles } from './split-files.js';

/** A model's GGUF file, or all files that one was cut into; the first has the metadata. */
export class GgufFiles {
  private constructor(
    private readonly files: readonly GgufFile[],
    readonly metadata: Metadata,
    /** Of all files, by name. */
    readonly tensors: ReadonlyMap<string, StoredTensor>,
    private readonly owners: ReadonlyMap<string, GgufFile>,
  ) {}

  /**
   * Opens the file, and those that belong to it by their names.
   * @throws TesseraError CHECKPOINT_INVALID naming the file at fault
   */
  static async open(path: string): Promise<GgufFiles> {
    const files: GgufFile[] = [];
    try {
      for (const one of splitFiles(path)) files.push(await GgufFile.open(one));
      const [first] = files as [GgufFile];
      const owners = new Map<string, GgufFile>();
      for (const [index, file] of files.entries()) {
        checkPart(new Metadata(file.path, file.metadata), index, files.length);
        for (const name of file.tensors.keys()) {
          const other = owners.get(name);
          if (other) throw new TesseraError('CHECKPOINT_INVALID', `${file.path}: ${name} is in ${other.path} too`);
          owners.set(name, file);
        }
      }
      const tensors = new Map(files.flatMap((file) => [...file.tensors]));
      return new GgufFiles(files, new Metadata(first.path, first.metadata), tensors, owners);
    } catch (error) {
      await Promise.all(files.map((file) => file.close()));
      throw error;
    }
  }

  /** The file that a tensor is in. */
  of(tensor: StoredTensor): GgufFile {
    return this.owners.get(tensor.name) as GgufFile;
  }

  async close(): Promise<void> {
    await Promise.all(this.files.map((file) => file.close()));
  }
}

/** A file that was cut says into how many it was, and which one it is. */
function checkPart(metadata: Metadata, index: number, files: number): void {
  const count = metadata.number('split.count') ?? 1;
  const part = metadata.number('split.no') ?? 0;
  if (count !== files) {
    const named =
      count > 1 ? `: they must lie beside each other, named ...-00001-of-${String(count).padStart(5, '0')}.gguf` : '';
    throw metadata.problem('split.count', `is ${count}, but by its name it is one of ${files}${named}`);
  }
  if (part !== index) throw metadata.problem('split.no', `is ${part}, but by its name it is ${index}`);
}
