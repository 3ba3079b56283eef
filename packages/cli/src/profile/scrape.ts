import { TesseraError } from '@tessera/protocol';

/** A scrape may take so long, and be so large: thousands of experts are some hundred bytes each. */
const scrapeMs = 10_000;
const maxScrapeBytes = 64 << 20;

/** @throws TesseraError CONFIG_INVALID for what is no address of metrics */
export function metricsUrl(where: string): URL {
  const text = where.includes('://') ? where : `http://${where}/metrics`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new TesseraError(
    'CONFIG_INVALID',
    `${where} is no address of metrics: say http://HOST:PORT/metrics or HOST:PORT`,
  );
}

/** What a process's metrics say now. @throws TesseraError STAGE_UNAVAILABLE */
export async function scrape(url: URL, signal: AbortSignal): Promise<string> {
  const unavailable = (why: string, cause?: unknown): TesseraError =>
    new TesseraError('STAGE_UNAVAILABLE', `${url} cannot be read: ${why}`, { cause });
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(scrapeMs)]) });
    if (!response.ok) throw unavailable(`it answers ${response.status}`);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of response.body ?? []) {
      bytes += chunk.byteLength;
      if (bytes > maxScrapeBytes) throw unavailable(`it has more than ${maxScrapeBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } catch (reason) {
    signal.throwIfAborted();
    if (reason instanceof TesseraError) throw reason;
    const { cause, message } = reason as Error;
    throw unavailable(cause instanceof Error ? cause.message : message, reason);
  }
}
