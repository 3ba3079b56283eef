import { type CheckpointInspection, inspectCheckpoint } from '@tessera/compiler';
import { localModel } from '../model-source.js';
import { note, table } from '../terminal.js';

/** The most differences that are listed; the rest is counted. */
const maxDifferences = 20;

/** Prints what each stage of a model weighs; config.json alone is enough. */
export async function inspect(checkpoint: string, options: { json: boolean }, signal: AbortSignal): Promise<void> {
  const { path } = await localModel(checkpoint, signal, { withoutWeights: true });
  const report = await inspectCheckpoint(path);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  const rows = report.stages.map(({ stage, parameters, share }) => [stage, count(parameters), percent(share)]);
  process.stdout.write(
    `${table(['stage', 'parameters', 'share'], [...rows, ['all', count(report.parameters), percent(1)]])}\n`,
  );
  const source = report.countedFrom === 'weights' ? 'the headers of its weights' : 'config.json alone';
  note(`model type ${report.modelType}, counted from ${source}`);
  if (!report.compilable) note('this version can inspect models of this type, not compile them');
  printDifferences(report);
}

function printDifferences({ differences }: CheckpointInspection): void {
  for (const { name, declared, found } of differences.slice(0, maxDifferences)) {
    note(`${name}: config.json says ${shape(declared)}, the weights have ${shape(found)}`);
  }
  if (differences.length > maxDifferences) note(`… and ${differences.length - maxDifferences} more differences`);
}

function shape(dimensions: readonly number[] | undefined): string {
  return dimensions === undefined ? 'no such tensor' : `[${dimensions.join(', ')}]`;
}

/** 7721324544 as 7.72 B. */
function count(parameters: number): string {
  for (const [unit, size] of [
    ['B', 1e9],
    ['M', 1e6],
    ['K', 1e3],
  ] as const) {
    if (parameters >= size) return `${(parameters / size).toFixed(2)} ${unit}`;
  }
  return String(parameters);
}

/** One digit after the point, two below one per cent. */
function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.01 ? 2 : 1)} %`;
}
