import { TesseraError } from '@tessera/protocol';
import { type ConstraintProgram, edgeKinds, mostNesting } from './constraint-program.js';

/** Where a called rule comes back to, and the calls that it lies in. */
interface Frame {
  readonly id: number;
  /** `outside`: to what is not looked at. */
  readonly back: number;
  readonly outer: Frame | undefined;
  /** Calls that it lies in. */
  readonly depth: number;
  readonly nesting: number;
}

/** Where a rule comes back to that is looked at alone. */
const outside = -1;

/** One way in which what was written so far can be read: a state, and the calls that it lies in. */
interface Thread {
  readonly state: number;
  readonly frame: Frame | undefined;
}

/**
 * What may follow a text: all that can be read out of the bytes so far. Two texts with the same future have the same one, so
 * that what is found out about it is found out once.
 */
export interface AutomatonState {
  /** Whether the text may end here; of a part that is looked at alone, whether the part may. */
  readonly isAccepting: boolean;
  readonly threads: readonly Thread[];
  /** By byte, what may follow then; null where nothing may; undefined where that was not asked yet. */
  readonly next: readonly (AutomatonState | null | undefined)[];
}

interface OwnState extends AutomatonState {
  next: (AutomatonState | null | undefined)[];
}

/** Of a state after which nothing was asked yet, as it is with most: they are where tokens end. */
const nothingAsked: (AutomatonState | null | undefined)[] = [];

/** Ways of reading that may be gone through for one mask; a form that takes more is ambiguous beyond use. */
const mostWork = 50_000;
/** States that are kept; from then on they are found out anew. */
const mostStates = 16_384;
/** Frames that are kept. */
const mostFrames = 1 << 18;

/**
 * Reads bytes by a program, all ways at once. What a state and a byte lead to is found out when it is first asked for and
 * kept, so that a form costs what texts use of it, and reading is looking up in a table.
 */
export class ByteAutomaton {
  readonly #program: ConstraintProgram;
  #states = new Map<string, OwnState>();
  #frames = new Map<number, Frame>();
  #nextFrame = 1;
  #work = 0;
  #start: AutomatonState | undefined;

  constructor(program: ConstraintProgram) {
    this.#program = program;
  }

  /** Nothing is written yet. */
  get start(): AutomatonState {
    this.#start ??= this.#stateOf([{ state: this.#program.start, frame: undefined }]);
    return this.#start;
  }

  /** How many states are kept. */
  get size(): number {
    return this.#states.size;
  }

  /** Begins a piece of work that may take so much and no more. */
  allowWork(): void {
    this.#work = 0;
    if (this.#states.size <= mostStates && this.#frames.size <= mostFrames) return;
    // Those in use are held by whoever uses them, and lead on to new ones.
    this.#states = new Map();
    this.#frames = new Map();
    this.#start = undefined;
  }

  /**
   * @returns null where the byte may not follow
   * @throws TesseraError REQUEST_INVALID where it is too much work to tell
   */
  step(from: AutomatonState, byte: number): AutomatonState | null {
    const known = from.next[byte];
    if (known !== undefined) return known;
    const { edgesFrom, edges } = this.#program;
    const reached: Thread[] = [];
    for (const { state, frame } of from.threads) {
      const end = edgesFrom[state + 1] as number;
      for (let at = edgesFrom[state] as number; at < end; at += 3) {
        const range = edges[at] as number;
        if (range >= 0 && range >> 8 <= byte && byte <= (range & 255)) {
          reached.push({ state: edges[at + 1] as number, frame });
        }
      }
    }
    const next = reached.length === 0 ? null : this.#stateOf(reached);
    const own = from as OwnState;
    if (own.next === nothingAsked) own.next = new Array(256);
    own.next[byte] = next;
    return next;
  }

  /** The state of all that these threads lead to without a byte. */
  #stateOf(from: readonly Thread[]): AutomatonState {
    const { edgesFrom, edges, isEnd } = this.#program;
    const seen = new Set<number>();
    const open: Thread[] = [];
    const reading: Thread[] = [];
    const reach = (state: number, frame: Frame | undefined): void => {
      if ((frame?.nesting ?? 0) + (this.#program.nestingNeeded[state] as number) > mostNesting) return;
      const key = this.#keyOf(state, frame);
      if (seen.has(key)) return;
      seen.add(key);
      open.push({ state, frame });
    };
    for (const { state, frame } of from) reach(state, frame);
    let isAccepting = false;
    for (let thread = open.pop(); thread !== undefined; thread = open.pop()) {
      if (++this.#work > mostWork) {
        throw new TesseraError('REQUEST_INVALID', 'text.response_format can be read in too many ways at once', {
          field: 'text.response_format',
        });
      }
      const { state, frame } = thread;
      if (isEnd[state] === 1) {
        if (frame === undefined || frame.back === outside) isAccepting = true;
        else reach(frame.back, frame.outer);
      }
      const end = edgesFrom[state + 1] as number;
      let reads = false;
      for (let at = edgesFrom[state] as number; at < end; at += 3) {
        const kind = edges[at] as number;
        const target = edges[at + 1] as number;
        if (kind >= 0) reads = true;
        else if (kind === edgeKinds.nothing) reach(target, frame);
        else this.#enter(target, edges[at + 2] as number, frame, kind === edgeKinds.nestedCall ? 1 : 0, reach);
      }
      if (reads) reading.push(thread);
    }
    return this.#kept(reading, isAccepting);
  }

  /** Goes into a rule, if what comes after it can still be completed, too. */
  #enter(
    start: number,
    back: number,
    outer: Frame | undefined,
    levels: number,
    reach: (state: number, frame: Frame) => void,
  ): void {
    const nesting = outer?.nesting ?? 0;
    if (nesting + (this.#program.nestingNeeded[back] as number) > mostNesting) return;
    reach(start, this.#frame(back, outer, nesting + levels));
  }

  /**
   * The innermost call that all ways of reading lie in, looked at alone: what may follow within it is the same wherever the
   * call stands. It accepts where the call may be complete.
   * @returns undefined where they have none in common
   */
  innermost(state: AutomatonState): AutomatonState | undefined {
    const [first, ...others] = state.threads;
    let common = first?.frame;
    for (const { frame } of others) common = commonFrame(common, frame);
    if (common === undefined || common.back === outside) return undefined;
    const { nesting } = common;
    const base = this.#frame(outside, undefined, nesting, nesting);
    const rebased = (frame: Frame | undefined): Frame =>
      frame === undefined || frame === common ? base : this.#frame(frame.back, rebased(frame.outer), frame.nesting);
    const threads = state.threads.map((thread) => ({ state: thread.state, frame: rebased(thread.frame) }));
    return this.#kept(threads, false);
  }

  /** @param variant tells frames apart that are alike else */
  #frame(back: number, outer: Frame | undefined, nesting: number, variant = 0): Frame {
    const states = this.#program.isEnd.length + mostNesting + 1;
    const key = (outer?.id ?? 0) * states + (back === outside ? this.#program.isEnd.length + variant : back);
    let frame = this.#frames.get(key);
    if (frame === undefined) {
      frame = { id: this.#nextFrame++, back, outer, depth: (outer?.depth ?? 0) + 1, nesting };
      this.#frames.set(key, frame);
    }
    return frame;
  }

  #keyOf(state: number, frame: Frame | undefined): number {
    return (frame?.id ?? 0) * this.#program.isEnd.length + state;
  }

  #kept(threads: Thread[], isAccepting: boolean): AutomatonState {
    const keys = threads.map(({ state, frame }) => this.#keyOf(state, frame)).sort((a, b) => a - b);
    const key = `${isAccepting ? '!' : ''}${keys.join(' ')}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      state = { isAccepting, threads, next: nothingAsked };
      this.#states.set(key, state);
    }
    return state;
  }
}

/** The innermost frame that two frames lie in or are. */
function commonFrame(one: Frame | undefined, other: Frame | undefined): Frame | undefined {
  let [a, b] = [one, other];
  while (a !== b) {
    if (a === undefined || b === undefined) return undefined;
    if (a.depth >= b.depth) a = a.outer;
    else b = b.outer;
  }
  return a;
}
