import type { Bundle } from '@tessera/bundle';
import { type LayerServiceDefinition, TesseraError } from '@tessera/protocol';
import type { TesseraClient } from '@tessera/service';
import type { HostCacheOptions } from '../model/host-cache.js';
import type { LayerPieces } from '../model/layer-pieces.js';
import { type ShardCall, ShardCalls } from '../shards/shard-calls.js';
import { type LayerCallFacts, LayerLink, type LayerShardAddress } from './layer-link.js';
import { shardOfPiece } from './piece-words.js';

export interface LayerLinksOptions {
  readonly bundle: Bundle;
  readonly size: HostCacheOptions;
  /** Of cache that the engine may come to use. */
  readonly positions: number;
  readonly rowType: 'float32' | 'float16';
  readonly callTimeoutMs: number;
  /** @param address host:port */
  readonly connect: (address: string) => TesseraClient<LayerServiceDefinition>;
  /** Told of what an operator should see. */
  readonly onTrouble: (error: TesseraError) => void;
  /** Told which pieces nobody holds, first of all and whenever that changes. */
  readonly onMissing?: (missing: MissingPieces) => void;
}

/** Pieces that no shard holds for this engine at the moment. Structured-cloneable. */
export interface MissingPieces {
  readonly count: number;
  /** One of them, and why, as far as that is known. */
  readonly inWords: string;
}

/** What happened since it was last told, and what is under way. */
export interface LinksReport {
  readonly calls: readonly ShardCall<LayerCallFacts>[];
  /** How long calls took that were answered. */
  readonly callSeconds: readonly number[];
  readonly running: readonly { readonly piece: number; readonly calls: number }[];
}

/** An engine's links to the shards that hold the later pieces of its model. */
export class LayerLinks implements LayerPieces {
  readonly pieces: readonly LayerLink[];
  readonly #options: LayerLinksOptions;
  readonly #calls = new ShardCalls<LayerCallFacts>(({ piece }) => String(piece));
  readonly #listeners: (() => void)[] = [];
  #callSeconds: number[] = [];
  #losses: LayerPieces['losses'] = { count: 0, last: undefined };
  #told = '';

  constructor(options: LayerLinksOptions) {
    const { bundle, size, positions, rowType, callTimeoutMs, connect, onTrouble } = options;
    this.#options = options;
    const { revision, llm } = bundle.manifest;
    this.pieces = bundle.layerPieces.pieces.slice(1).map(
      (_, index) =>
        new LayerLink({
          piece: index + 1,
          revision,
          hiddenSize: llm.hiddenSize,
          size,
          positions,
          rowType,
          callTimeoutMs,
          connect,
          onTrouble,
          onChange: () => this.#note(),
          onLost: (last) => {
            this.#losses = { count: this.#losses.count + 1, last };
          },
          onCall: (call, answer) => this.#follow(call, answer),
        }),
    );
    this.#note();
  }

  get losses(): LayerPieces['losses'] {
    return this.#losses;
  }

  get missing(): TesseraError | undefined {
    const { count, inWords } = this.#missingPieces();
    if (count === 0) return undefined;
    return new TesseraError('STAGE_UNAVAILABLE', `it waited for ${inWords}`, { stage: 'layers' });
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Who is there now. */
  setShards(shards: readonly LayerShardAddress[]): void {
    for (const [index, link] of this.pieces.entries())
      link.setShards(shards.filter(({ piece }) => piece === index + 1));
  }

  rest(): void {
    for (const link of this.pieces) link.rest();
  }

  report(): LinksReport {
    const callSeconds = this.#callSeconds;
    this.#callSeconds = [];
    const running = this.pieces.map(({ load }, index) => ({ piece: index + 1, calls: load }));
    return { calls: this.#calls.take(), callSeconds, running };
  }

  async release(): Promise<void> {
    for (const link of this.pieces) link.close();
  }

  #follow(call: LayerCallFacts, answer: Promise<unknown>): void {
    const startedMs = performance.now();
    this.#calls.follow(call, answer);
    answer.then(
      () => this.#callSeconds.push((performance.now() - startedMs) / 1000),
      () => {},
    );
  }

  #missingPieces(): MissingPieces {
    const away = [...this.pieces.entries()].filter(([, { isReady }]) => !isReady);
    const [first] = away;
    if (first === undefined) return { count: 0, inWords: 'every piece' };
    const [index, { why }] = first;
    const what = shardOfPiece(this.#options.bundle.layerPieces, index + 1);
    const others = away.length === 1 ? '' : ` and ${away.length - 1} more`;
    const because = why === undefined ? '' : `: ${why.message}`;
    return { count: away.length, inWords: `${what}${others}${because}` };
  }

  #note(): void {
    const missing = this.#missingPieces();
    if (missing.inWords !== this.#told) {
      this.#told = missing.inWords;
      this.#options.onMissing?.(missing);
    }
    for (const listener of this.#listeners) listener();
  }
}
