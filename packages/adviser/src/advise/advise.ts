import { hourOf, stagesOf } from '../profile/profile.js';
import type { Advice } from './advice.js';
import { chartValues } from './chart-values.js';
import { findMachine } from './find-machine.js';
import { type FoundReplicas, findReplicas, type Question } from './find-replicas.js';
import { findScaling } from './find-scaling.js';
import { reasonsFor } from './reasons.js';

export interface AdviseOptions extends Question {
  /** The largest machine that all stages may share; 0: none is looked at. */
  readonly machineCores: number;
  /** Whether replicas may follow the load. */
  readonly scales: boolean;
}

/** The cheapest way to hold the objectives, of those that are looked at; without one that does, the nearest. */
export function advise(options: AdviseOptions): Advice {
  const fixed = findReplicas(options);
  const scaled = fixed.holds && options.scales ? findScaling(options, fixed) : undefined;
  const machine =
    fixed.holds && options.machineCores > 0 ? findMachine(options, fixed.replicas, options.machineCores) : undefined;
  const apart = scaled?.result.cost ?? fixed.result.cost;
  const machineIsBetter = machine?.holds === true && machine.cost < apart;
  const advice = {
    holds: fixed.holds,
    fixed,
    scaled,
    machine,
    machineIsBetter,
    values: chartValues(options, scaled?.replicas ?? fixed.replicas, scaled?.scaling ?? {}),
  };
  return { ...advice, reasons: reasonsFor(options, advice) };
}

/** What all fixed replicas cost in an hour. */
export function hourlyCost({ profile }: Pick<Question, 'profile'>, { replicas }: FoundReplicas): number {
  return stagesOf(profile).reduce((sum, stage) => sum + (replicas[stage] ?? 0) * hourOf(profile, stage), 0);
}
