import { resolve } from 'node:path';
import { inspectCheckpoint } from '@tessera/compiler';
import { table } from '../terminal.js';

/** Prints what each stage of a model weighs; needs config.json only. */
export async function inspect(checkpoint: string, options: { json: boolean }): Promise<void> {
  const report = await inspectCheckpoint(resolve(checkpoint));
  if (options.json) {
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  process.stdout.write(`${JSON.stringify(report)}\n${table(['a'], [['1']])}\n`);
}
