/** One request of a trace, as a line of its file says it. */
export interface TraceRequest {
  /** When it comes, in seconds since the trace began. */
  readonly at: number;
  /** Tokens of the prompt that are no picture's, with those that the chat template adds. */
  readonly textTokens: number;
  /** Tokens that each choice of the answer has. */
  readonly outputTokens: number;
  /** Tokens of the prompt that the engine has in its cache: earlier turns, a system prompt. */
  readonly cachedTokens?: number;
  /** The most tokens that the request allows; absent: those that it gets. The cache is reserved for them. */
  readonly maxTokens?: number;
  /** Pictures that it shows, in pixels. */
  readonly pictures?: readonly PictureSize[];
  /** Drawings that each choice comes to, asked for with its last token. */
  readonly drawings?: number;
  /** Denoising steps of each; absent: the model's default. */
  readonly drawingSteps?: number;
  /** Answers that it asks for. */
  readonly choices?: number;
}

/** Pixels. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** Whole numbers that a column may hold. */
export const maxCount = 2 ** 32 - 1;

/** Numbers in a row of memory that grows. */
class Column {
  #values: Float64Array | Uint32Array;
  #length = 0;

  constructor(private readonly Kind: Float64ArrayConstructor | Uint32ArrayConstructor) {
    this.#values = new Kind(1024);
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const grown = new this.Kind(this.#length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#length++] = value;
  }

  at(index: number): number {
    return this.#values[index] as number;
  }
}

/** Requests in the order in which they come. A million of them take 60 MB: a number a column, no object each. */
export class Trace {
  readonly #at = new Column(Float64Array);
  readonly #text = new Column(Uint32Array);
  readonly #output = new Column(Uint32Array);
  readonly #cached = new Column(Uint32Array);
  readonly #most = new Column(Uint32Array);
  readonly #drawings = new Column(Uint32Array);
  readonly #steps = new Column(Uint32Array);
  readonly #choices = new Column(Uint32Array);
  /** Where a request's pictures end in the columns of pictures. */
  readonly #picturesEnd = new Column(Uint32Array);
  readonly #widths = new Column(Uint32Array);
  readonly #heights = new Column(Uint32Array);

  static from(requests: Iterable<TraceRequest>): Trace {
    const trace = new Trace();
    for (const request of requests) trace.add(request);
    return trace;
  }

  get length(): number {
    return this.#at.length;
  }

  /** Seconds from the first request to the last. */
  get seconds(): number {
    return this.length === 0 ? 0 : this.#at.at(this.length - 1) - this.#at.at(0);
  }

  /** @param request one that comes no earlier than the last; who reads a file checks it */
  add(request: TraceRequest): void {
    const { at, textTokens, outputTokens, cachedTokens = 0, maxTokens = outputTokens, pictures = [] } = request;
    this.#at.push(at);
    this.#text.push(textTokens);
    this.#output.push(outputTokens);
    this.#cached.push(cachedTokens);
    this.#most.push(maxTokens);
    this.#drawings.push(request.drawings ?? 0);
    this.#steps.push(request.drawingSteps ?? 0);
    this.#choices.push(request.choices ?? 1);
    for (const { width, height } of pictures) {
      this.#widths.push(width);
      this.#heights.push(height);
    }
    this.#picturesEnd.push(this.#widths.length);
  }

  /** The requests `from` to `to`, the second not among them, moved so that the first comes at 0. */
  slice(from: number, to: number): Trace {
    const part = new Trace();
    const beganAt = from < to ? this.#at.at(from) : 0;
    for (let index = from; index < to; index++) {
      const request = this.request(index);
      part.add({ ...request, at: request.at - beganAt });
    }
    return part;
  }

  arrival(index: number): number {
    return this.#at.at(index);
  }

  request(index: number): Required<TraceRequest> {
    const pictures: PictureSize[] = [];
    const end = this.#picturesEnd.at(index);
    for (let at = index === 0 ? 0 : this.#picturesEnd.at(index - 1); at < end; at++) {
      pictures.push({ width: this.#widths.at(at), height: this.#heights.at(at) });
    }
    return {
      at: this.#at.at(index),
      textTokens: this.#text.at(index),
      outputTokens: this.#output.at(index),
      cachedTokens: this.#cached.at(index),
      maxTokens: this.#most.at(index),
      pictures,
      drawings: this.#drawings.at(index),
      drawingSteps: this.#steps.at(index),
      choices: this.#choices.at(index),
    };
  }
}
