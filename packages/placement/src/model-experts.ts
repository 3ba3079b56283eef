/** What a planner must know of a model. */
export interface ModelExperts {
  /** The layers that have experts, ascending. */
  readonly layers: readonly number[];
  /** Experts of each of them. */
  readonly perLayer: number;
  /** Bytes that one expert takes in memory. */
  readonly expertBytes: number;
}

/** How often the router chose each expert: by the place of its layer among those that have experts, then by expert. */
export type RoutingCounts = readonly (readonly number[])[];

/** Where one group of shards runs. */
export interface PlacementNode {
  /** Also the name of its group. */
  readonly name: string;
  /** For experts. */
  readonly memoryBytes: number;
  /** How much it computes in a time, against the others; 1 where all are alike. */
  readonly speed: number;
}

/** The experts that each node holds: by the node's name, then by the place of the layer, ascending numbers of experts. */
export type Placement = ReadonlyMap<string, readonly (readonly number[])[]>;
