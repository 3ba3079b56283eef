import { setImmediate as turn } from 'node:timers/promises';
import type { Bundle, ExpertCut } from '@tessera/bundle';
import type { BoundSessionOptions } from '@tessera/inference';
import { type ExpertServiceDefinition, TesseraError, viewTensor } from '@tessera/protocol';
import type { TesseraClient } from '@tessera/service';
import { requireCut } from '../model/expert-cut.js';
import type { ExpertAnswer, ExpertProvider, ExpertWork } from '../model/expert-provider.js';
import { ShardCalls } from '../shards/shard-calls.js';
import { CallLatency } from './call-latency.js';
import { ExpertSessions, type ExpertShare } from './expert-sessions.js';
import { countRows, cutRows, gatherRows } from './gather-rows.js';
import { type MissingExperts, missingExperts } from './missing-experts.js';
import type { Placement } from './placement.js';
import { type ExpertCallFacts, type PoolReport, PoolStats } from './pool-stats.js';
import { type ShardAddress, ShardLink } from './shard-link.js';

export interface ExpertPoolOptions {
  readonly bundle: Bundle;
  readonly session: BoundSessionOptions;
  readonly placement: Placement;
  /** In which rows and answers travel; float32 gives what one process gives, bit for bit. */
  readonly rowType: 'float32' | 'float16';
  readonly callTimeoutMs: number;
  /** Whether what takes long is sent to another holder too. */
  readonly hedge: boolean;
  /** @param address host:port */
  readonly connect: (address: string) => TesseraClient<ExpertServiceDefinition>;
  /** Told why the stream to a shard ended, or did not begin. */
  readonly onLost: (shard: ShardAddress, error: TesseraError) => void;
  /** Told of what else an operator should see. */
  readonly onTrouble: (error: TesseraError) => void;
  /** Told which experts nobody holds, first of all and whenever that changes. */
  readonly onMissing?: (missing: MissingExperts) => void;
  /** An expert was not where it should be: the placement may have changed. */
  readonly onMisplaced: () => void;
}

/** So many bytes of rows go into one message at most, whatever the width. */
const maxCallBytes = 1 << 20;

/** One expert's rows of one call. */
interface Piece extends ExpertWork {
  /** Of the work that it is a part of. */
  readonly index: number;
  /** Where its rows begin there. */
  readonly from: number;
}

/**
 * The experts where the placement puts them: some in this thread, the others in shards. A step sends each shard one message
 * a layer, and computes its own meanwhile. What a shard does not answer, another holder is asked for; what takes longer
 * than 99 of 100 calls of its size, another one too, and the first answer counts.
 */
export class ExpertPool implements ExpertProvider {
  readonly #stats = new PoolStats();
  readonly #calls = new ShardCalls<ExpertCallFacts>(({ shard }) => shard.group);
  readonly #options: ExpertPoolOptions;
  readonly #cut: ExpertCut;
  readonly #hiddenSize: number;
  readonly #local: ExpertSessions;
  readonly #latency = new CallLatency();
  readonly #links = new Map<string, ShardLink>();
  #placement: Placement;
  /** How many experts nobody held when that was last told. */
  #missing: number | undefined;
  /** To be taken up between two steps, once all that it places is there. */
  #next: Placement | undefined;
  /** Something about who holds what has changed since the routes were laid. */
  #changed = false;
  #changedSinceStep = false;
  #inStep = false;
  #routes = new Map<string, readonly ShardLink[]>();
  #waiting: (() => void)[] = [];
  #loading: Promise<void> = Promise.resolve();

  private constructor(options: ExpertPoolOptions) {
    this.#options = options;
    this.#cut = requireCut(options.bundle);
    this.#hiddenSize = options.bundle.manifest.llm.hiddenSize;
    this.#local = new ExpertSessions(options.bundle, options.session);
    this.#placement = options.placement;
  }

  /** Loads what the placement gives the engine itself. */
  static async create(options: ExpertPoolOptions): Promise<ExpertPool> {
    const pool = new ExpertPool(options);
    for (const place of options.placement.engine) await pool.#local.load(place);
    pool.#tellMissing();
    return pool;
  }

  /** The epoch of the placement in use. */
  get epoch(): number {
    return this.#placement.epoch;
  }

  /** What happened since it was last asked, and what is under way. */
  report(): PoolReport {
    const links = [...this.#links.values()];
    const running = [...this.#placement.groups.keys()].map((group) => ({
      group,
      calls: links.reduce((sum, { shard, load }) => sum + (shard.group === group ? load : 0), 0),
    }));
    return { ...this.#stats.take(), running, calls: this.#calls.take() };
  }

  /** Who is there now. */
  setShards(shards: readonly ShardAddress[]): void {
    const named = new Set(shards.map(({ shardId }) => shardId));
    for (const [shardId, link] of this.#links) {
      if (named.has(shardId)) continue;
      link.leave();
      this.#links.delete(shardId);
    }
    for (const shard of shards) if (!this.#links.has(shard.shardId)) this.#links.set(shard.shardId, this.#link(shard));
    this.#note();
  }

  /** Takes up another placement: at the step for which all that it places is there. */
  setPlacement(placement: Placement): void {
    this.#loading = this.#loading.then(async () => {
      for (const place of placement.engine) await this.#local.load(place);
      this.#next = placement;
      this.#note();
    });
    this.#loading.catch((reason: unknown) => this.#options.onTrouble(TesseraError.from(reason)));
  }

  beginStep(): void {
    this.#inStep = true;
    this.#changedSinceStep = false;
  }

  endStep(): void {
    this.#inStep = false;
    if (this.#changed) this.#takeUp();
  }

  #takeUp(): void {
    this.#changed = false;
    const next = this.#next;
    if (next !== undefined && this.#isWhole(next)) {
      const before = this.#placement;
      this.#placement = next;
      this.#next = undefined;
      for (const link of this.#links.values()) link.use(next.epoch);
      for (const place of before.engine) if (!next.engine.has(place)) void this.#local.drop(place);
    }
    this.#routes = new Map();
  }

  async compute(layer: number, rows: Float32Array, work: readonly ExpertWork[]): Promise<readonly ExpertAnswer[]> {
    const local = work.map(({ expert }) => this.#placement.engine.has({ layer, expert }));
    const pieces = work.flatMap((each, index) => (local[index] ? [] : this.#cutUp(each, index)));
    for (const { expert, rows: mine } of work) this.#stats.routed(layer, expert, mine.length);
    const answering = pieces.length === 0 ? undefined : this.#ask(layer, rows, pieces, new Set());
    // What fails here is told after what is under way has ended.
    answering?.catch(() => {});
    const answers: (ExpertAnswer | undefined)[] = work.map(() => undefined);
    if (answering !== undefined && local.includes(true)) {
      // The messages leave before this thread is busy.
      await turn();
      await turn();
    }
    const mine = work.filter((_, index) => local[index]);
    const own = mine.length === 0 ? [] : await this.#computeHere(layer, rows, mine);
    for (const index of work.keys()) if (local[index]) answers[index] = { answers: own.shift() as Float32Array };
    const remote = (await answering) ?? [];
    for (const [at, piece] of pieces.entries())
      join(answers, piece, remote[at] as ExpertAnswer, work, this.#hiddenSize);
    return answers as ExpertAnswer[];
  }

  async #computeHere(layer: number, rows: Float32Array, work: readonly ExpertWork[]): Promise<Float32Array[]> {
    const answers = await this.#local.compute(layer, sharesOf(work), gatherRows(rows, work, this.#hiddenSize));
    return cutRows(answers, work, this.#hiddenSize);
  }

  async changed(withinMs: number): Promise<void> {
    if (this.#changedSinceStep) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      timer = setTimeout(resolve, withinMs);
    });
    clearTimeout(timer);
  }

  async release(): Promise<void> {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    await this.#loading.catch(() => {});
    await this.#local.release();
  }

  #link(shard: ShardAddress): ShardLink {
    return new ShardLink({
      shard,
      client: this.#options.connect(shard.address),
      cut: this.#cut,
      revision: this.#options.bundle.manifest.revision,
      callTimeoutMs: this.#options.callTimeoutMs,
      epoch: this.#placement.epoch,
      onChange: () => this.#note(),
      onLost: (error) => this.#options.onLost(shard, error),
    });
  }

  #note(): void {
    this.#changed = true;
    this.#changedSinceStep = true;
    // An engine without requests takes no step, and shards wait for it to take up the placement.
    if (!this.#inStep) this.#takeUp();
    this.#tellMissing();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Whether every expert of a placement is where that puts it. */
  #isWhole(placement: Placement): boolean {
    const links = [...this.#links.values()].filter(({ epoch }) => epoch >= placement.epoch);
    return missingExperts(this.#cut, placement, links).next().done === true;
  }

  #tellMissing(): void {
    const { onMissing } = this.#options;
    if (onMissing === undefined) return;
    const missing = [...missingExperts(this.#cut, this.#placement, this.#links.values())];
    if (missing.length === this.#missing) return;
    this.#missing = missing.length;
    onMissing({ count: missing.length, example: missing[0] });
  }

  /** Who takes rows for an expert. */
  #holders(layer: number, expert: number): readonly ShardLink[] {
    const key = `${layer}.${expert}`;
    let route = this.#routes.get(key);
    if (route === undefined) {
      const groups = this.#placement.groupsOf({ layer, expert });
      route = [...this.#links.values()].filter(
        ({ shard, held }) => groups.includes(shard.group) && held.has({ layer, expert }),
      );
      this.#routes.set(key, route);
    }
    return route.filter((link) => link.isReady);
  }

  #cutUp({ expert, rows }: ExpertWork, index: number): Piece[] {
    const most = this.#maxRows;
    if (rows.length <= most) return [{ expert, rows, index, from: 0 }];
    return Array.from({ length: Math.ceil(rows.length / most) }, (_, at) => ({
      expert,
      rows: rows.slice(at * most, (at + 1) * most),
      index,
      from: at * most,
    }));
  }

  get #maxRows(): number {
    return Math.max(1, Math.floor(maxCallBytes / (this.#hiddenSize * 4)));
  }

  /** One answer for each piece. @param tried who is not to be asked (again) */
  async #ask(
    layer: number,
    rows: Float32Array,
    pieces: readonly Piece[],
    tried: ReadonlySet<ShardLink>,
  ): Promise<ExpertAnswer[]> {
    const { calls, orphans } = this.#share(layer, pieces, tried);
    const answers = new Map<Piece, ExpertAnswer>();
    for (const piece of orphans) answers.set(piece, { unavailable: unavailable(layer, piece.expert) });
    this.#stats.unavailable(countRows(orphans));
    await Promise.all(
      calls.map(async ({ link, mine }) => {
        const given = await this.#call(link, layer, rows, mine, tried);
        for (const [at, piece] of mine.entries()) answers.set(piece, given[at] as ExpertAnswer);
      }),
    );
    return pieces.map((piece) => answers.get(piece) as ExpertAnswer);
  }

  /** Shares pieces out over those who hold them, evenly by rows where there is a choice. */
  #share(layer: number, pieces: readonly Piece[], tried: ReadonlySet<ShardLink>) {
    const open = new Map<ShardLink, { link: ShardLink; mine: Piece[]; rows: number; total: number }>();
    const calls: { readonly link: ShardLink; readonly mine: Piece[] }[] = [];
    const orphans: Piece[] = [];
    const rowsOf = (link: ShardLink): number => open.get(link)?.total ?? 0;
    for (const piece of pieces) {
      const holders = this.#holders(layer, piece.expert).filter((link) => !tried.has(link));
      const [link] = [...holders].sort((a, b) => rowsOf(a) - rowsOf(b) || a.load - b.load);
      if (link === undefined) {
        orphans.push(piece);
        continue;
      }
      let call = open.get(link);
      // An expert stands in a call once.
      const fits = (call?.rows ?? 0) + piece.rows.length <= this.#maxRows && piece.from === 0;
      if (call === undefined || !fits) {
        call = { link, mine: [], rows: 0, total: rowsOf(link) };
        open.set(link, call);
        calls.push(call);
      }
      call.mine.push(piece);
      call.rows += piece.rows.length;
      call.total += piece.rows.length;
    }
    return { calls, orphans };
  }

  /** Asks one shard; others, when that fails; others too, when it takes long. */
  async #call(
    link: ShardLink,
    layer: number,
    rows: Float32Array,
    pieces: readonly Piece[],
    tried: ReadonlySet<ShardLink>,
  ): Promise<ExpertAnswer[]> {
    const others = new Set([...tried, link]);
    const count = countRows(pieces);
    const facts = { shard: link.shard, layer, experts: pieces.length, rows: count };
    const first = this.#calls.follow(facts, this.#send(link, layer, rows, pieces));
    const slowAfterMs = this.#options.hedge ? this.#latency.slowAfterMs(count) : undefined;
    try {
      if (slowAfterMs === undefined || !(await isLate(first, slowAfterMs))) return await first;
      const canHedge = pieces.every(({ expert }) => this.#holders(layer, expert).some((each) => !others.has(each)));
      if (!canHedge) return await first;
      this.#stats.hedges++;
      const second = this.#ask(layer, rows, pieces, others).then((answers) => {
        const missing = answers.find((answer) => 'unavailable' in answer);
        if (missing !== undefined && 'unavailable' in missing) throw missing.unavailable;
        return answers;
      });
      return await Promise.any([first, second]);
    } catch (reason) {
      if (reason instanceof TesseraError && reason.code === 'EXPERT_NOT_HELD') {
        for (const { expert } of pieces) link.held.delete({ layer, expert });
        this.#note();
        this.#options.onMisplaced();
      }
      this.#stats.failovers++;
      return await this.#ask(layer, rows, pieces, others);
    }
  }

  async #send(link: ShardLink, layer: number, rows: Float32Array, pieces: readonly Piece[]): Promise<ExpertAnswer[]> {
    const width = this.#hiddenSize;
    const given = gatherRows(rows, pieces, width);
    const count = given.length / width;
    const startedMs = performance.now();
    const answers = await link.call({
      layer,
      experts: pieces.map(({ expert }) => expert),
      rowCounts: pieces.map((piece) => piece.rows.length),
      rows: viewTensor({ dtype: 'float32', shape: [count, width], data: given }, this.#options.rowType),
    });
    if (answers.length !== count * width) {
      throw new TesseraError('TENSOR_INVALID', `${answers.length} numbers answer ${count} rows of ${width}`);
    }
    const tookMs = performance.now() - startedMs;
    this.#latency.add(count, tookMs);
    this.#stats.called(tookMs / 1000);
    return cutRows(answers, pieces, width).map((own) => ({ answers: own }));
  }
}

function sharesOf(work: readonly ExpertWork[]): ExpertShare[] {
  return work.map(({ expert, rows: { length: count } }) => ({ expert, count }));
}

/** Puts a piece's answer where it belongs in its work's. */
function join(
  answers: (ExpertAnswer | undefined)[],
  { index, from, rows }: Piece,
  answer: ExpertAnswer,
  work: readonly ExpertWork[],
  width: number,
): void {
  const whole = work[index]?.rows.length as number;
  const known = answers[index];
  if (rows.length === whole || 'unavailable' in answer) {
    answers[index] = answer;
    return;
  }
  if (known !== undefined && 'unavailable' in known) return;
  const joined = known?.answers ?? new Float32Array(whole * width);
  joined.set(answer.answers, from * width);
  answers[index] = { answers: joined };
}

function unavailable(layer: number, expert: number): TesseraError {
  const message = `expert ${expert} of layer ${layer} is held by no shard that answers`;
  return new TesseraError('STAGE_UNAVAILABLE', message, { stage: 'experts' });
}

/** Whether a promise is still open after a while; one that fails before throws. */
async function isLate(promise: Promise<unknown>, afterMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<true>((resolve) => {
    timer = setTimeout(resolve, afterMs, true);
  });
  try {
    return (await Promise.race([promise.then(() => false), late])) as boolean;
  } finally {
    clearTimeout(timer);
  }
}
