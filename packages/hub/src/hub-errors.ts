import { TesseraError } from '@tessera/protocol';
import type { ModelId } from './model-id.js';

/** Of whom and what a request to the hub is. */
export interface Asked {
  readonly endpoint: string;
  readonly id: ModelId;
  readonly hasToken: boolean;
}

/** The longest Retry-After that is waited for; a hub that wants more is left alone. */
export const maxRetryAfterMs = 5 * 60_000;

/** What an answer that is no success says. */
export function refusalOf(response: Response, asked: Asked, path: string): TesseraError {
  const { endpoint, id, hasToken } = asked;
  const { status, headers } = response;
  const reason = headers.get('x-error-code') ?? '';
  if (status === 429 || status === 408 || status >= 500) {
    const why = status === 429 ? 'asks for fewer requests' : 'cannot answer now';
    return new TesseraError('HUB_UNAVAILABLE', `the hub at ${endpoint} ${why} (status ${status})`, {
      retryAfterMs: retryAfterMs(headers.get('retry-after')),
    });
  }
  if (reason === 'GatedRepo') {
    const whose = hasToken ? 'with the account of the token' : 'and a token (HF_TOKEN) says whose account did';
    return new TesseraError(
      'HUB_DENIED',
      `${id.repository} is gated: its terms are accepted at ${endpoint}/${id.repository}, ${whose}`,
    );
  }
  if (status === 401 || status === 403) {
    const why = hasToken
      ? `the hub at ${endpoint} does not let the token read ${id.repository}, or has no such model`
      : `${id.repository} is not at ${endpoint}, or is not public: the hub wants a token`;
    return new TesseraError('HUB_DENIED', `${why} (status ${status})`);
  }
  if (status === 404) {
    const what =
      reason === 'RevisionNotFound'
        ? `${id.repository} has no revision ${id.revision}`
        : reason === 'EntryNotFound'
          ? `${id.repository}@${id.revision} has no file ${path}`
          : `there is no model ${id.repository} at ${endpoint}`;
    return new TesseraError('HUB_NOT_FOUND', what);
  }
  return notAHub(endpoint, `status ${status} for ${path}`);
}

/** The same of a server that the hub sent to: what the hub has promised, it may have again a moment later. */
export function elsewhere({ status, headers }: Response, host: string): TesseraError {
  return new TesseraError('HUB_UNAVAILABLE', `${host}, where the hub keeps its files, answers with status ${status}`, {
    retryAfterMs: retryAfterMs(headers.get('retry-after')),
  });
}

export function notAHub(endpoint: string, problem: string, cause?: unknown): TesseraError {
  return new TesseraError('CONFIG_INVALID', `${endpoint} (HF_ENDPOINT) does not answer as a hub does: ${problem}`, {
    cause,
  });
}

/** What a hub's API says that is now elsewhere, and that wants the token there, which it does not get. */
export function movedAway(endpoint: string, to: URL, status: number): TesseraError {
  return new TesseraError(
    'HUB_DENIED',
    `${endpoint} redirects to ${to.origin}, which answers with status ${status}: a token goes to HF_ENDPOINT alone; if ${to.origin} is the hub, set HF_ENDPOINT to it`,
  );
}

/** Node's codes of certificates that are not trusted: names of OpenSSL, and one of its own. */
const untrusted = /^(CERT_|UNABLE_TO_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_|ERR_TLS_CERT_)/;

/**
 * What a request says that got no answer, or not all of it.
 * @param place who was asked, as the beginning of a sentence
 */
export function unreachable(place: string, cause: unknown): TesseraError {
  const inner = cause instanceof Error ? cause.cause : undefined;
  const code = (inner as { code?: string } | undefined)?.code;
  const why = code ?? (inner instanceof Error ? inner.message : String(cause));
  if (code !== undefined && untrusted.test(code)) {
    // It will be no other in a moment.
    return new TesseraError(
      'CONFIG_INVALID',
      `${place} has a certificate that is not trusted (${code}); NODE_EXTRA_CA_CERTS names a file of certificates that are, such as a proxy's own`,
      { cause },
    );
  }
  return new TesseraError('HUB_UNAVAILABLE', `${place} cannot be reached: ${why}`, { cause });
}

/** Seconds or a date (RFC 9110), as milliseconds from now. */
function retryAfterMs(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
