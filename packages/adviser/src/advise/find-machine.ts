import { hourOf, type StageName, stagesOf } from '../profile/profile.js';
import { type SimulationResult, simulate } from '../simulate/simulate.js';
import { busiestPart } from './busiest.js';
import type { Question, Replicas } from './find-replicas.js';
import { excess } from './objective.js';

/** One machine that has every stage. */
export interface FoundMachine {
  readonly cores: number;
  readonly replicas: Replicas;
  readonly holds: boolean;
  /** Of the busiest part of the trace, where that is long. */
  readonly result: SimulationResult;
  /** Of the whole time. */
  readonly cost: number;
}

const partRequests = 20_000;
/**
 * Requests that the machine found is tried on. Cores that are shared cost twice as much to simulate as those that are not:
 * with a million requests it would be half of all time.
 */
const defaultTryRequests = 200_000;

/**
 * The smallest machine on which the same processes hold the objectives side by side, sharing its cores: what one stage does
 * not need at a moment another has. What a replica costs beyond its cores, an accelerator, it costs there too.
 * @param replicas those that hold apart
 * @param tryRequests of the trace, those that the machine found is tried on
 */
export function findMachine(
  question: Question,
  replicas: Replicas,
  mostCores: number,
  tryRequests = defaultTryRequests,
): FoundMachine {
  const part = busiestPart(question.trace, partRequests, question.profile);
  const holdsOn = (cores: number): boolean => {
    const holds = excess(on(question, part, replicas, cores), question.objectives) <= 1;
    question.tell?.(`one machine of ${cores} cores: ${holds ? 'holds' : 'does not hold'}`);
    return holds;
  };
  let tooFew = 0;
  let enough = mostCores;
  if (holdsOn(enough)) {
    while (enough - tooFew > 1) {
      const cores = Math.floor((enough + tooFew) / 2);
      if (holdsOn(cores)) enough = cores;
      else tooFew = cores;
    }
  }
  const { profile, objectives, trace } = question;
  const tried = busiestPart(trace, tryRequests, profile);
  const result = on(question, tried, replicas, enough);
  // What comes after the last arrival is as long for all of the trace as for a part.
  const seconds = result.seconds + trace.seconds - tried.seconds;
  const accelerators = stagesOf(profile).reduce(
    (sum, stage) => sum + (replicas[stage] ?? 0) * beyondCores(question, stage),
    0,
  );
  const cost = ((enough * profile.coreHour + accelerators) * seconds) / 3600;
  return { cores: enough, replicas, holds: excess(result, objectives) <= 1, result, cost };
}

function beyondCores({ profile }: Question, stage: StageName): number {
  return Math.max(0, hourOf(profile, stage) - (profile[stage]?.cores ?? 1) * profile.coreHour);
}

function on({ profile, seed, signal }: Question, trace: Question['trace'], replicas: Replicas, machineCores: number) {
  return simulate({ trace, profile, replicas, machineCores, seed, signal });
}
