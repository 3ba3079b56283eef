import type { PlacementNode } from './model-experts.js';

/** One change within a layer, and what it brings. */
export interface Change {
  /** Where a node gets an expert: by the node's number. */
  readonly adds: readonly { readonly node: number; readonly expert: number }[];
  readonly drops: readonly { readonly node: number; readonly expert: number }[];
  /** What is left of the nodes' time over the aim, all together. */
  readonly excess: number;
}

/**
 * The holders of one layer's experts while they are being planned, and what each node has to do with them. Nodes and
 * experts go by number.
 */
export class LayerPlan {
  readonly #nodes: readonly PlacementNode[];
  readonly #counts: readonly number[];
  readonly #holders: Set<number>[];
  readonly #times: number[];
  /** No node is to take longer. */
  readonly aim: number;

  /** @param tolerance by how much a node may take longer than if all were even: 0.1 for a tenth */
  constructor(
    nodes: readonly PlacementNode[],
    counts: readonly number[],
    readonly tolerance: number,
  ) {
    this.#nodes = nodes;
    this.#counts = counts;
    this.#holders = counts.map(() => new Set());
    this.#times = nodes.map(() => 0);
    const rows = counts.reduce((sum, count) => sum + count, 0);
    this.aim = ((1 + tolerance) * rows) / nodes.reduce((sum, { speed }) => sum + speed, 0);
  }

  countOf(expert: number): number {
    return this.#counts[expert] ?? 0;
  }

  holdersOf(expert: number): ReadonlySet<number> {
    return this.#holders[expert] as Set<number>;
  }

  /** What a node holds, ascending. */
  heldBy(node: number): number[] {
    return [...this.#holders.keys()].filter((expert) => this.holdersOf(expert).has(node));
  }

  timeOf(node: number): number {
    return this.#times[node] as number;
  }

  /** The nodes' time over the aim, all together: 0 when the layer is as even as it is to be. */
  get excess(): number {
    return this.#times.reduce((sum, time) => sum + this.#over(time), 0);
  }

  add(expert: number, node: number): void {
    this.#change(expert, (holders) => holders.add(node));
  }

  drop(expert: number, node: number): void {
    this.#change(expert, (holders) => holders.delete(node));
  }

  apply({ adds, drops }: Change): void {
    for (const { expert, node } of adds) this.add(expert, node);
    for (const { expert, node } of drops) this.drop(expert, node);
  }

  /** The best exchange of what two nodes hold alone, or move to a node with room; undefined where none makes it more even. */
  bestMove(hasRoom: (node: number) => boolean): Change | undefined {
    const slowest = this.#slowest();
    const alone = [...this.#nodes.keys()].map((node) => this.#aloneOn(node));
    let best: Change | undefined;
    const consider = (change: Change): void => {
      if (change.excess < (best?.excess ?? this.excess * (1 - leastGain))) best = change;
    };
    for (const expert of alone[slowest] as number[]) {
      for (const node of this.#nodes.keys()) {
        if (node === slowest) continue;
        if (hasRoom(node)) {
          const adds = [{ expert, node }];
          consider({ adds, drops: [{ expert, node: slowest }], excess: this.#excessAfter(slowest, expert, node) });
        }
        for (const other of alone[node] as number[]) {
          if (this.countOf(other) >= this.countOf(expert)) continue;
          const adds = [
            { expert, node },
            { expert: other, node: slowest },
          ];
          const drops = [
            { expert, node: slowest },
            { expert: other, node },
          ];
          consider({ adds, drops, excess: this.#excessAfter(slowest, expert, node, other) });
        }
      }
    }
    return best;
  }

  /** The copy of what the slowest node holds that makes the layer most even; undefined where none does. */
  bestCopy(hasRoom: (node: number) => boolean): Change | undefined {
    const slowest = this.#slowest();
    let best: Change | undefined;
    for (const expert of this.heldBy(slowest)) {
      for (const node of this.#nodes.keys()) {
        if (this.holdersOf(expert).has(node) || !hasRoom(node)) continue;
        const excess = this.#excessWith(expert, node);
        if (excess >= (best?.excess ?? this.excess * (1 - leastGain))) continue;
        best = { adds: [{ expert, node }], drops: [], excess };
      }
    }
    return best;
  }

  #slowest(): number {
    return this.#times.reduce((slowest, time, node) => (time > this.timeOf(slowest) ? node : slowest), 0);
  }

  #aloneOn(node: number): number[] {
    return this.heldBy(node).filter((expert) => this.holdersOf(expert).size === 1);
  }

  #over(time: number): number {
    return Math.max(0, time - this.aim);
  }

  /** Each holder takes as long with its part. */
  #timeOf(expert: number, holders: Iterable<number>): number {
    let speed = 0;
    for (const node of holders) speed += this.#speed(node);
    return speed === 0 ? 0 : this.countOf(expert) / speed;
  }

  #speed(node: number): number {
    return (this.#nodes[node] as PlacementNode).speed;
  }

  #change(expert: number, change: (holders: Set<number>) => void): void {
    const holders = this.#holders[expert] as Set<number>;
    const before = this.#timeOf(expert, holders);
    for (const node of holders) this.#times[node] = this.timeOf(node) - before;
    change(holders);
    const after = this.#timeOf(expert, holders);
    for (const node of holders) this.#times[node] = this.timeOf(node) + after;
  }

  /** After an expert that is held alone has gone from one node to another, and another one the other way. */
  #excessAfter(from: number, expert: number, to: number, back?: number): number {
    const [there, here] = [this.countOf(expert), back === undefined ? 0 : this.countOf(back)];
    const fromTime = this.timeOf(from) + (here - there) / this.#speed(from);
    const toTime = this.timeOf(to) + (there - here) / this.#speed(to);
    const before = this.#over(this.timeOf(from)) + this.#over(this.timeOf(to));
    return this.excess - before + this.#over(fromTime) + this.#over(toTime);
  }

  #excessWith(expert: number, node: number): number {
    const holders = this.holdersOf(expert);
    const before = this.#timeOf(expert, holders);
    const after = this.#timeOf(expert, [...holders, node]);
    return this.#times.reduce((sum, time, each) => {
      if (each === node) return sum + this.#over(time + after);
      return sum + this.#over(holders.has(each) ? time - before + after : time);
    }, 0);
  }
}

/** A change that brings less is not worth the bytes that it moves. */
const leastGain = 1e-3;
