import { createReadStream } from 'node:fs';
import { TesseraError } from '@tessera/protocol';
import { LineError, parseLine } from './parse-line.js';
import { Trace } from './trace.js';

export interface ReadTraceOptions {
  /** The most requests; a longer trace is refused. */
  readonly maxRequests?: number;
  readonly signal?: AbortSignal;
  /** Told now and then how many bytes were read. */
  onBytes?(bytes: number): void;
}

const defaultMaxRequests = 10_000_000;
const maxLineCharacters = 65_536;
/** So many wrong lines are named, then the reading ends. */
const maxWrong = 10;

/**
 * Reads a trace: JSON lines, a request each, in the order of their arrival. It is read in pieces, so that memory holds the
 * columns and no text.
 * @param from a file, or what it has in pieces
 * @throws TesseraError CONFIG_INVALID with the number of each wrong line (the first ten), and what is wrong with it
 */
export async function readTrace(
  from: string | AsyncIterable<string | Buffer>,
  options: ReadTraceOptions = {},
): Promise<Trace> {
  const name = typeof from === 'string' ? from : 'the trace';
  const pieces = typeof from === 'string' ? createReadStream(from) : from;
  const reader = new LineReader(name, options.maxRequests ?? defaultMaxRequests);
  const decoder = new TextDecoder();
  let bytes = 0;
  try {
    for await (const piece of pieces) {
      options.signal?.throwIfAborted();
      reader.add(typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true }));
      bytes += piece.length;
      options.onBytes?.(bytes);
    }
  } catch (reason) {
    const { code, message } = reason as NodeJS.ErrnoException;
    if (reason instanceof TesseraError || code === undefined || options.signal?.aborted === true) throw reason;
    throw new TesseraError('CONFIG_INVALID', `${name} cannot be read: ${message}`, { cause: reason });
  }
  return reader.end();
}

class LineReader {
  readonly #trace = new Trace();
  readonly #wrong: string[] = [];
  #rest = '';
  #line = 0;
  #lastAt = 0;

  constructor(
    private readonly name: string,
    private readonly maxRequests: number,
  ) {}

  add(text: string): void {
    const all = this.#rest + text;
    let from = 0;
    for (let end = all.indexOf('\n'); end >= 0; end = all.indexOf('\n', from)) {
      this.#take(all.slice(from, end));
      from = end + 1;
    }
    this.#rest = all.slice(from);
    if (this.#rest.length > maxLineCharacters) this.#take(this.#rest);
  }

  end(): Trace {
    if (this.#rest.trim() !== '') this.#take(this.#rest);
    if (this.#wrong.length > 0) this.#refuse();
    if (this.#trace.length === 0) throw new TesseraError('CONFIG_INVALID', `${this.name} has no request`);
    return this.#trace;
  }

  #take(line: string): void {
    this.#line++;
    if (line.trim() === '') return;
    try {
      if (line.length > maxLineCharacters) throw new LineError(`has more than ${maxLineCharacters} characters`);
      const request = parseLine(line);
      if (request.at < this.#lastAt) {
        throw new LineError(`comes at ${request.at} s, before the one above it at ${this.#lastAt} s; sort the lines`);
      }
      if (this.#trace.length >= this.maxRequests) {
        throw new TesseraError('CONFIG_INVALID', `${this.name} has more than ${this.maxRequests} requests; cut it`);
      }
      this.#lastAt = request.at;
      this.#trace.add(request);
    } catch (reason) {
      if (!(reason instanceof LineError)) throw reason;
      this.#wrong.push(`line ${this.#line} ${reason.message}`);
      if (this.#wrong.length >= maxWrong || line.length > maxLineCharacters) this.#refuse();
    }
  }

  #refuse(): never {
    throw new TesseraError('CONFIG_INVALID', `${this.name}: ${this.#wrong.join('; ')}`);
  }
}
