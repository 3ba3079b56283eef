import { createWriteStream } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type PictureSize, type SyntheticTrace, syntheticRequests } from '@tessera/adviser';
import type { Lengths } from '@tessera/adviser/synthetic-options';
import { TesseraError } from '@tessera/protocol';
import { note, progress } from '../terminal.js';

export interface TraceCommandOptions
  extends Pick<
    SyntheticTrace,
    | 'requests'
    | 'seconds'
    | 'rate'
    | 'arrivals'
    | 'burstiness'
    | 'period'
    | 'share'
    | 'maxPictures'
    | 'choices'
    | 'seed'
    | 'drawingSteps'
  > {
  readonly out?: string;
  readonly textTokens: Lengths;
  readonly outputTokens: Lengths;
  /** Shares of the requests. */
  readonly pictures: number;
  readonly drawings: number;
  readonly pictureSize: readonly PictureSize[];
}

/** Lines that are written at a time. */
const linesAtOnce = 1000;

/** Writes a trace of requests by chance. */
export async function trace(options: TraceCommandOptions, signal: AbortSignal): Promise<void> {
  const { out, pictures, drawings, pictureSize, ...rest } = options;
  const requests = syntheticRequests({
    ...rest,
    pictureShare: pictures,
    drawingShare: drawings,
    pictureSizes: pictureSize,
  });
  const bar = progress('writing requests');
  let made = 0;
  function* lines(): Generator<string> {
    let text = '';
    for (const request of requests) {
      text += `${JSON.stringify(request)}\n`;
      if (++made % linesAtOnce !== 0) continue;
      bar.update(made, options.requests);
      yield text;
      text = '';
    }
    yield text;
  }
  try {
    if (out === undefined) await pipeline(Readable.from(lines()), process.stdout, { signal, end: false });
    else await pipeline(Readable.from(lines()), createWriteStream(resolve(out)), { signal });
  } catch (reason) {
    signal.throwIfAborted();
    if (reason instanceof TesseraError) throw reason;
    throw new TesseraError('CONFIG_INVALID', `${out ?? 'stdout'} cannot be written: ${(reason as Error).message}`, {
      cause: reason,
    });
  } finally {
    bar.stop();
  }
  note(`${made} requests${out === undefined ? '' : `, written: ${out}`}`);
}
