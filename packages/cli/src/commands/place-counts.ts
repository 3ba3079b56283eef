import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Bundle, readBundle } from '@tessera/bundle';
import {
  countsBetween,
  countsFromMetrics,
  type EngineCounts,
  expertRowsMetric,
  type ModelExperts,
  sumCounts,
} from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { metricsUrl, scrape } from '../profile/scrape.js';
import { note } from '../terminal.js';
import { expertsOf } from './place.js';

export interface CountsOptions {
  readonly bundle: string;
  /** Where engines show their metrics: URLs, or host:port. */
  readonly metrics: readonly string[];
  /** How long is counted; 0: what was counted since the engines began. */
  readonly seconds: number;
  readonly out?: string;
}

/** Takes from running engines how often each expert got rows, as `place plan --counts` reads it. */
export async function countRows(options: CountsOptions, signal: AbortSignal): Promise<void> {
  const bundle = await readBundle(resolve(options.bundle), ['llm']);
  const model = expertsOf(bundle, undefined);
  const urls = options.metrics.map(metricsUrl);
  const look = (): Promise<EngineCounts[]> => Promise.all(urls.map((url) => countsOf(url, bundle, model, signal)));
  const first = await look();
  let counts = first.map(({ rows }) => rows);
  let last = first;
  if (options.seconds > 0) {
    note(`counting for ${options.seconds} s`);
    await pause(options.seconds * 1000, undefined, { signal }).catch(() => signal.throwIfAborted());
    last = await look();
    counts = last.map((later, at) => countsBetween(first[at] as EngineCounts, later));
  }
  // In either look: an engine may have begun to answer meanwhile, or have been started again just now.
  for (const [at, url] of urls.entries()) requireRows(url, [first[at] as EngineCounts, last[at] as EngineCounts]);
  const layers = sumCounts(counts);
  const rows = layers.flat().reduce((sum, count) => sum + count, 0);
  if (rows === 0) {
    throw new TesseraError(
      'CONFIG_INVALID',
      'no rows were counted: engines count them whose experts are placed, and while they answer; ' +
        'count for longer (--seconds), or all since they began (--seconds 0)',
    );
  }
  const text = `${JSON.stringify({ layers })}\n`;
  if (options.out === undefined) process.stdout.write(text);
  else await writeFile(resolve(options.out), text);
  note(`${rows} rows of ${urls.length} engines${options.out === undefined ? '' : `, written: ${options.out}`}`);
}

/**
 * Shards declare the counter as engines do, and count nothing.
 * @throws TesseraError CONFIG_INVALID where nothing was ever counted
 */
function requireRows(url: URL, looks: readonly EngineCounts[]): void {
  if (looks.some(({ rows }) => rows.flat().some((count) => count > 0))) return;
  throw new TesseraError(
    'CONFIG_INVALID',
    `${url} has never counted rows of experts: it is no engine's, or its experts are not placed, or the engine has ` +
      'answered nothing since it began; leave it out, or ask it something first',
  );
}

/** @throws TesseraError STAGE_UNAVAILABLE; CONFIG_INVALID where it is of another service or model */
async function countsOf(url: URL, bundle: Bundle, model: ModelExperts, signal: AbortSignal): Promise<EngineCounts> {
  const text = await scrape(url, signal);
  if (!text.includes(`# TYPE ${expertRowsMetric} `)) {
    throw new TesseraError('CONFIG_INVALID', `${url} counts no experts: it is no engine's`);
  }
  const { revision } = bundle.manifest;
  const [, other] = /^tessera_model_info\{[^}]*revision="([^"]*)"/m.exec(text) ?? [];
  if (other !== revision) {
    throw new TesseraError('CONFIG_INVALID', `${url} serves revision ${other}; the bundle is revision ${revision}`);
  }
  try {
    return countsFromMetrics(text, model);
  } catch (reason) {
    const { code, message } = TesseraError.from(reason);
    throw new TesseraError(code, `${url}: ${message}`, { cause: reason });
  }
}
