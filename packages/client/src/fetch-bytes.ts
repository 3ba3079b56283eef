import { signalWithDeadline } from '@tessera/flow';
import { quoted, TesseraError } from '@tessera/protocol';
import type { FetchOptions } from './connect-options.js';

/** What may be fetched. Other schemes would read what the caller has not shown, such as files. */
const schemes: readonly string[] = ['http:', 'https:', 'data:'];

/**
 * What is behind a URL. Redirects are followed.
 * @throws TesseraError REQUEST_INVALID for what is no URL, is of another scheme or cannot be fetched in time;
 * MEDIA_TOO_LARGE
 */
export async function fetchBytes(
  url: string | URL,
  { maxBytes = 32 * 1024 * 1024, timeoutMs = 30_000 }: FetchOptions,
  parent: AbortSignal,
): Promise<Uint8Array> {
  const text = String(url);
  const shown = quoted(text);
  const failed = (problem: string, cause?: unknown) =>
    new TesseraError('REQUEST_INVALID', `${shown} cannot be fetched: ${problem}`, { cause });
  const tooLarge = () => new TesseraError('MEDIA_TOO_LARGE', `${shown} has more than ${maxBytes} bytes`);
  if (!URL.canParse(text)) throw failed('it is no URL');
  const { protocol } = new URL(text);
  if (!schemes.includes(protocol)) throw failed(`${protocol} is none of ${schemes.join(', ')}`);
  using deadline = signalWithDeadline(parent, Date.now() + timeoutMs);
  try {
    const response = await fetch(text, { signal: deadline.signal });
    const refusal = response.ok
      ? Number(response.headers.get('content-length')) > maxBytes && tooLarge()
      : failed(`the server answers ${response.status}`);
    if (refusal) {
      // Unread it would keep its connection, and with that the process.
      await response.body?.cancel();
      throw refusal;
    }
    const chunks: Uint8Array[] = [];
    let size = 0;
    // Leaving the loop cancels the body.
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxBytes) throw tooLarge();
    }
    return Buffer.concat(chunks, size);
  } catch (reason) {
    if (parent.aborted) throw parent.reason;
    if (deadline.signal.aborted) throw failed(`it took longer than ${timeoutMs} ms`);
    if (reason instanceof TesseraError) throw reason;
    // fetch itself says only that it failed; its cause says why.
    const { cause, message } = reason as Error;
    throw failed(cause instanceof Error ? cause.message : message, reason);
  }
}
