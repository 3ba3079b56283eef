import { resolve } from 'node:path';
import { extractPart, readBundle, type StageName, stageNames } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { type Command, Option } from 'commander';
import { wholeNumber } from '../arguments.js';
import { note, progress } from '../terminal.js';

interface ExtractCommandOptions {
  readonly stage: StageName | 'gateway';
  readonly piece?: number;
  readonly out: string;
  readonly json: boolean;
}

/** Adds `bundle extract`. */
export function bundleCommands(bundle: Command, signal: AbortSignal): void {
  bundle.description('work on compiled models');
  bundle
    .command('extract')
    .description(
      'copy what one service needs of a bundle, so that it carries nothing else; a run that was ended goes on',
    )
    .argument('<dir>', 'folder of the bundle')
    .addOption(
      new Option('--stage <name>', 'whose part; a gateway reads the manifest alone')
        .choices([...stageNames, 'gateway'])
        .makeOptionMandatory(),
    )
    .option('--piece <n>', 'with --stage llm: the piece of a model that is cut by layers', wholeNumber(0, 65_535))
    .requiredOption('--out <dir>', 'folder to write; it may be there, as a mounted volume is')
    .option('--json', 'the result as JSON', false)
    .action((dir: string, options: ExtractCommandOptions) => extract(dir, options, signal));
}

async function extract(dir: string, options: ExtractCommandOptions, signal: AbortSignal): Promise<void> {
  const { stage, piece, json } = options;
  if (piece !== undefined && stage !== 'llm') {
    throw new TesseraError('CONFIG_INVALID', `--piece is one of the llm; the ${stage} has no pieces`);
  }
  const out = resolve(options.out);
  const bar = progress('copying');
  let done: Awaited<ReturnType<typeof extractPart>>;
  try {
    const part = { stage: stage === 'gateway' ? undefined : stage, piece };
    done = await extractPart(await readBundle(resolve(dir), []), part, out, {
      onProgress: ({ doneBytes, totalBytes, file }) => bar.update(doneBytes, totalBytes, file),
      signal,
    });
  } finally {
    bar.stop();
  }
  if (json) process.stdout.write(`${JSON.stringify({ bundle: out, stage, piece, ...done })}\n`);
  else
    note(
      `${done.files.length + 1} files, ${(done.bytes / 2 ** 20).toFixed(1)} MiB, of revision ${done.revision}: ${out}`,
    );
}
