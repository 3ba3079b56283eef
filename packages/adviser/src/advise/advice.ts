import type { ChartValues } from './chart-values.js';
import type { FoundMachine } from './find-machine.js';
import type { FoundReplicas } from './find-replicas.js';
import type { FoundScaling } from './find-scaling.js';

/** What to run. */
export interface Advice {
  readonly holds: boolean;
  readonly fixed: FoundReplicas;
  /** Where following the load costs less and holds all the same. */
  readonly scaled: FoundScaling | undefined;
  readonly machine: FoundMachine | undefined;
  /** Whether one machine for all costs less than the cheapest of the others. */
  readonly machineIsBetter: boolean;
  /** Of the charts, for stages apart. */
  readonly values: ChartValues;
  /** Why, in sentences. */
  readonly reasons: readonly string[];
}
