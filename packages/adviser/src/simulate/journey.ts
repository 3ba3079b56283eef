import type { Profile } from '../profile/profile.js';
import type { TraceRequest } from '../trace/trace.js';
import { Sequence } from './engine.js';
import type { PooledEngine } from './engine-pool.js';
import type { Events } from './events.js';
import type { GeneratorStage } from './generator-stage.js';
import type { PictureSizes } from './picture-sizes.js';
import type { TileStage } from './tile-stage.js';

/** What became of each request of a trace, by its number; NaN where it has none. */
export interface Outcome {
  /** Until its prompt began to be computed. */
  readonly begunMs: Float64Array;
  readonly ttftMs: Float64Array;
  readonly latencyMs: Float64Array;
  readonly tokenMs: Float64Array;
  answered: number;
  refused: number;
}

/** What a request goes through. */
export interface Stages {
  readonly events: Pick<Events, 'now'>;
  readonly profile: Profile;
  readonly pictures: PictureSizes;
  readonly encoder: TileStage | undefined;
  readonly connector: TileStage | undefined;
  readonly generator: GeneratorStage | undefined;
  readonly outcome: Outcome;
  /**
   * Lets an overhead pass, so many times over, and goes on.
   * @param answers that are written meanwhile, where it takes longer beside them: what it waits for cores then included
   */
  onTheWay(overhead: Profile['request'], times: number, then: () => void, answers?: number): void;
  /** Lets so much time pass. */
  later(ms: number, then: () => void): void;
  /** A request is answered. */
  ended(tokens: number, choices: number): void;
}

/** One request on its way through the stages. */
export class Journey {
  readonly #startedMs: number;
  #begunMs = Number.NaN;
  #firstMs = Number.NaN;
  /** Answers and drawings that are still to come. */
  #left: number;

  constructor(
    private readonly deployment: Stages,
    private readonly index: number,
    private readonly request: Required<TraceRequest>,
    private readonly pooled: PooledEngine,
  ) {
    this.#startedMs = deployment.events.now;
    this.#left = request.choices;
  }

  begin(): void {
    const { deployment, request } = this;
    const { profile, pictures } = deployment;
    const tiles = request.pictures.map((size) => pictures.tilesOf(size));
    const allTiles = tiles.reduce((sum, count) => sum + count, 0);
    const visual = allTiles * profile.tokensPerTile + tiles.length * profile.tokensPerPicture;
    const prompt = request.textTokens + visual;
    const sequence = this.#sequence(prompt, Math.max(1, prompt - request.cachedTokens), () => {
      this.#begunMs = sequence.begunAt;
      this.#first(prompt);
    });
    const sees = deployment.encoder !== undefined && deployment.connector !== undefined;
    if (sees) sequence.waitFor(allTiles, profile.tokensPerTile);
    const enter = (): void => {
      this.#enter(sequence);
      if (sequence.missingTiles === 0) return;
      for (const [at, count] of tiles.entries()) this.#show(sequence, at, count);
    };
    deployment.onTheWay(profile.request, 1, enter, this.pooled.engine.writing);
  }

  /** Has a picture encoded, in jobs of some tiles each. */
  #show(sequence: Sequence, picture: number, tiles: number): void {
    const { deployment, request } = this;
    const { encoder, connector, profile } = deployment;
    const size = request.pictures[picture];
    if (encoder === undefined || connector === undefined || profile.encoder === undefined || size === undefined) return;
    const { tilesPerJob, pictureMs, megapixelMs, tileMs } = profile.encoder;
    const megapixels = (size.width * size.height) / 1e6;
    const decodeMs = pictureMs + megapixelMs * megapixels;
    const came = (): void => this.pooled.engine.tileCame(sequence);
    const connect = { tiles: 1, prepareMs: 0, tileDone: came };
    const encode = (): void => {
      for (let from = 0; from < tiles; from += tilesPerJob) {
        const count = Math.min(tilesPerJob, tiles - from);
        const tileDone = (): void => connector.queue.push(connect);
        encoder.queue.push({ tiles: count, prepareMs: decodeMs + count * tileMs, tileDone });
      }
    };
    deployment.onTheWay(profile.megapixel, megapixels, () => deployment.onTheWay(profile.picture, 1, encode));
  }

  /** The first token of the first choice: the other choices find the prompt in its engine's cache. */
  #first(prompt: number): void {
    this.#firstMs = this.deployment.events.now;
    for (let choice = 1; choice < this.request.choices; choice++) {
      this.#enter(this.#sequence(prompt, 1, () => undefined));
    }
  }

  #sequence(prompt: number, promptLeft: number, first: () => void): Sequence {
    const { outputTokens, maxTokens } = this.request;
    return new Sequence(promptLeft, prompt, outputTokens, prompt + maxTokens, first, () => this.#last());
  }

  #enter(sequence: Sequence): void {
    this.pooled.coming--;
    this.pooled.engine.add(sequence);
  }

  /** The last token of a choice. */
  #last(): void {
    const { deployment, request } = this;
    const { generator, profile } = deployment;
    if (this.#left === this.request.choices && request.outputTokens > 1) {
      const tokenMs = (deployment.events.now - this.#firstMs) / (request.outputTokens - 1);
      deployment.outcome.tokenMs[this.index] = tokenMs;
    }
    const draws = generator !== undefined && request.drawings > 0;
    if (draws) {
      const steps = request.drawingSteps || (profile.generator?.defaultSteps ?? 1);
      for (let drawing = 0; drawing < request.drawings; drawing++) {
        this.#left++;
        deployment.onTheWay(profile.drawing, 1, () => {
          generator.queue.push({ steps, done: () => this.#part() });
        });
      }
    }
    // How an answer ends that draws is measured with its drawings.
    if (draws || profile.finishMs === 0) this.#part();
    else deployment.later(profile.finishMs, () => this.#part());
  }

  #part(): void {
    if (--this.#left > 0) return;
    const { deployment, request } = this;
    const { outcome, events } = deployment;
    outcome.begunMs[this.index] = this.#begunMs - this.#startedMs;
    outcome.ttftMs[this.index] = this.#firstMs - this.#startedMs;
    outcome.latencyMs[this.index] = events.now - this.#startedMs;
    deployment.ended(request.choices * request.outputTokens, request.choices);
  }
}
