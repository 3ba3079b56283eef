import type { GraphBuilder } from './graph-builder.js';

/** A handle on something that flows through a graph. */
export class Value {
  private label: string;

  constructor(
    readonly graph: GraphBuilder,
    name: string,
    readonly kind: 'input' | 'weight' | 'computed',
  ) {
    this.label = name;
  }

  get name(): string {
    return this.label;
  }

  /** Nodes refer to values, not to names, so a value can still be renamed when it turns out to be an output. */
  publishAs(name: string): void {
    this.label = name;
  }
}

/** An operand: a value, or a number that becomes a float32 constant. */
export type Operand = Value | number;
