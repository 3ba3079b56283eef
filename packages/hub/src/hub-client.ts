import { linkedAbort, sleep } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { type Asked, elsewhere, maxRetryAfterMs, movedAway, notAHub, refusalOf, unreachable } from './hub-errors.js';
import { userAgent } from './user-agent.js';

export interface HubClientOptions extends Asked {
  readonly token?: string;
  /** How long a server may be silent: before its headers, and between two pieces of a body. */
  readonly timeoutMs: number;
  /** Failures in a row that are tried again. */
  readonly retries: number;
  readonly signal?: AbortSignal;
  /** A failure is tried again after so many milliseconds. */
  readonly onRetry?: (reason: TesseraError, pauseMs: number) => void;
}

/** An answer under way. Read its body to the end, or dispose of it. */
export interface HubAnswer extends Disposable {
  readonly status: number;
  /** Of the last server. */
  readonly headers: Headers;
  /** Of the first one, which knows the repository. */
  readonly hubHeaders: Headers;
  body(): AsyncGenerator<Uint8Array>;
}

/** The hub sends to one other server, which may send on once. */
const maxRedirects = 5;
/** A page of a listing has 1,000 files and a megabyte at most. */
const maxJsonBytes = 32 * 1024 * 1024;
const firstPauseMs = 500;
const longestPauseMs = 30_000;

/**
 * Requests to one hub about one model. Each hop has its deadline and each failure its retries, and the token goes to the hub
 * alone, whatever it redirects to.
 */
export class HubClient {
  /** Of the hub: what may see the token. */
  private readonly origin: string;

  constructor(readonly options: HubClientOptions) {
    this.origin = new URL(options.endpoint).origin;
  }

  /**
   * What @huggingface/hub fetches with. An answer is read whole, bounded, before it is given.
   * @throws TesseraError HUB_UNAVAILABLE after the last retry; HUB_DENIED, HUB_NOT_FOUND; CONFIG_INVALID where no hub answers
   */
  readonly fetchJson = async (input: string | URL | Request): Promise<Response> => {
    const url = input instanceof Request ? input.url : String(input);
    return this.withRetries(async () => {
      using answer = await this.get(url);
      const parts: Uint8Array[] = [];
      let bytes = 0;
      for await (const part of answer.body()) {
        bytes += part.length;
        if (bytes > maxJsonBytes) throw notAHub(this.options.endpoint, `more than ${maxJsonBytes} bytes of JSON`);
        parts.push(part);
      }
      const { status, headers } = answer;
      return new Response(Buffer.concat(parts), { status, headers });
    });
  };

  /** Tries again what the hub may be able to do later. */
  async withRetries<T>(attempt: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt();
      } catch (reason) {
        await this.pauseAfter(reason, failures);
      }
    }
  }

  /**
   * Waits before the next try.
   * @param failures in a row, this one among them
   * @throws the reason where no try is left, or none would help
   */
  async pauseAfter(reason: unknown, failures: number): Promise<void> {
    const { retries, signal, onRetry } = this.options;
    signal?.throwIfAborted();
    if (!(reason instanceof TesseraError) || !reason.retryable || failures > retries) throw reason;
    const wanted = reason.retryAfterMs ?? 0;
    if (wanted > maxRetryAfterMs) throw reason;
    // Many that were refused at once do not come back at once.
    const backoff = Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
    const pauseMs = Math.max(wanted, backoff);
    onRetry?.(reason, pauseMs);
    await sleep(pauseMs, signal);
  }

  /** One GET, redirects followed, without a retry. */
  async get(url: string, more: Readonly<Record<string, string>> = {}): Promise<HubAnswer> {
    let at = new URL(url);
    // Files are kept elsewhere; what is known of a model is not.
    const isOfApi = url.startsWith(`${this.options.endpoint}/api/`);
    let hubHeaders: Headers | undefined;
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const hop = new Hop(this.options.timeoutMs, this.options.signal, at.host);
      const response = await this.send(at, more, hop);
      hubHeaders ??= response.headers;
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || location === null) {
        if (response.ok) return answerOf(response, hubHeaders, hop, this.placeOf(at));
        hop.end();
        if (at.origin === this.origin) throw refusalOf(response, this.options, at.pathname.slice(1));
        throw isOfApi && [401, 403, 404].includes(response.status)
          ? movedAway(this.options.endpoint, at, response.status)
          : elsewhere(response, at.host);
      }
      hop.end();
      at = this.redirected(at, location);
    }
    throw notAHub(this.options.endpoint, `more than ${maxRedirects} redirects`);
  }

  private async send(url: URL, more: Readonly<Record<string, string>>, hop: Hop): Promise<Response> {
    const { token } = this.options;
    try {
      return await fetch(url, {
        redirect: 'manual',
        signal: hop.signal,
        headers: {
          'user-agent': userAgent,
          // Hashes, lengths and ranges are of a file's own bytes.
          'accept-encoding': 'identity',
          ...(token !== undefined && url.origin === this.origin ? { authorization: `Bearer ${token}` } : {}),
          ...more,
        },
      });
    } catch (cause) {
      hop.end();
      throw cause instanceof TesseraError ? cause : unreachable(this.placeOf(url), cause);
    }
  }

  private placeOf(url: URL): string {
    return url.origin === this.origin
      ? `the hub at ${this.options.endpoint}`
      : `${url.host}, where the hub sends for it,`;
  }

  private redirected(from: URL, location: string): URL {
    const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
    const isPlainer = from.protocol === 'https:' && to?.protocol !== 'https:';
    if (to === undefined || !/^https?:$/.test(to.protocol) || isPlainer) {
      throw notAHub(this.options.endpoint, `a redirect to "${location}"`);
    }
    return to;
  }
}

/** The deadline of one hop: it is wound up again whenever something comes. */
class Hop {
  private readonly stop;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly timeoutMs: number,
    parent: AbortSignal | undefined,
    private readonly host: string,
  ) {
    this.stop = linkedAbort(parent);
    this.wind();
  }

  get signal(): AbortSignal {
    return this.stop.signal;
  }

  wind(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.stop.abort(new TesseraError('HUB_UNAVAILABLE', `${this.host} sent nothing for ${this.timeoutMs} ms`));
    }, this.timeoutMs);
  }

  /** Lets go of the connection, of whatever body is left on it too. */
  end(): void {
    clearTimeout(this.timer);
    this.stop[Symbol.dispose]();
    this.stop.abort();
  }
}

function answerOf(response: Response, hubHeaders: Headers, hop: Hop, place: string): HubAnswer {
  return {
    status: response.status,
    headers: response.headers,
    hubHeaders,
    async *body() {
      try {
        for await (const part of response.body ?? []) {
          hop.wind();
          yield part as Uint8Array;
        }
      } catch (cause) {
        throw cause instanceof TesseraError ? cause : unreachable(place, cause);
      } finally {
        hop.end();
      }
    },
    [Symbol.dispose]: () => hop.end(),
  };
}
