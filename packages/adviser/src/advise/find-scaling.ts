import { hourOf, type StageName, stagesOf } from '../profile/profile.js';
import type { Scaling, Signals } from '../simulate/scaling.js';
import { type SimulationResult, simulate } from '../simulate/simulate.js';
import { busiestPart } from './busiest.js';
import { chartScaling, pulls } from './chart-scaling.js';
import type { FoundReplicas, Question, Replicas } from './find-replicas.js';
import { excess } from './objective.js';

export type ScalingOf = Readonly<Partial<Record<StageName, Scaling>>>;

export interface FoundScaling {
  /** Stages that are not here keep their fixed replicas: following the load would be late, or save nothing. */
  readonly scaling: ScalingOf;
  readonly replicas: Replicas;
  readonly result: SimulationResult;
}

/** Requests of the part that settings are tried on. */
const partRequests = 100_000;
/** How far beyond the fixed replicas a stage may go: what comes late is to be caught up with. */
const headroom = 1.5;

/**
 * Autoscaling that holds the objectives and costs less than fixed replicas do: stage by stage, the dearest first, from the
 * settings that save the most to those that save the least. The gateway is left as it is: it scales by its processor time,
 * which is seen half a minute late, and is cheap.
 */
export function findScaling(question: Question, fixed: FoundReplicas): FoundScaling | undefined {
  const part = busiestPart(question.trace, partRequests, question.profile);
  const onPart = { ...question, trace: part };
  const stages = stagesOf(question.profile)
    .filter((stage) => stage !== 'gateway')
    .sort((a, b) => hourOf(question.profile, b) - hourOf(question.profile, a));
  let best = run(onPart, fixed.replicas, {});
  for (const stage of stages) {
    for (const scaling of candidates(onPart, stage, fixed.replicas[stage] ?? 1)) {
      const tried = run(onPart, fixed.replicas, { ...best.scaling, [stage]: scaling });
      const holds = excess(tried.result, question.objectives) <= 1;
      question.tell?.(`${stage} from ${scaling.min} to ${scaling.max}: ${holds ? 'holds' : 'does not hold'}`);
      if (!holds || tried.result.cost >= best.result.cost) continue;
      best = tried;
      break;
    }
  }
  if (Object.keys(best.scaling).length === 0) return undefined;
  if (part === question.trace) return best;
  const whole = run(question, fixed.replicas, best.scaling);
  return excess(whole.result, question.objectives) <= 1 && whole.result.cost < fixed.result.cost ? whole : undefined;
}

function run({ trace, profile, seed, signal }: Question, fixed: Replicas, scaling: ScalingOf): FoundScaling {
  // A trace begins in the midst of a day: those that follow the load have as many as are fixed then, and not fewer than none.
  const begin = Object.entries(scaling).map(([stage, { min }]) => [
    stage,
    Math.max(min, fixed[stage as StageName] ?? 1),
  ]);
  const replicas = { ...fixed, ...Object.fromEntries(begin) };
  return { scaling, replicas, result: simulate({ trace, profile, replicas, scaling, seed, signal }) };
}

/** From what saves the most to what saves the least. */
function candidates({ profile, most }: Question, stage: StageName, fixed: number): Scaling[] {
  const max = Math.max(fixed, Math.min(most[stage] ?? fixed, Math.ceil(fixed * headroom)));
  const few = pulls(stage) ? 0 : 1;
  const mins = [...new Set([few, 1, Math.ceil(fixed / 2), Math.ceil(fixed * 0.75)])].filter((min) => min < max);
  return mins.flatMap((min) => targetsOf(profile, stage).map((targets) => chartScaling(stage, { min, max, targets })));
}

function targetsOf(profile: Question['profile'], stage: StageName): Signals[] {
  if (stage === 'llm')
    return [
      { waiting: 4, kvUsage: 0.8 },
      { waiting: 1, kvUsage: 0.8 },
    ];
  const { slots = 8, maxBatch = 4 } = (stage === 'gateway' ? undefined : profile[stage]) ?? {};
  return [...new Set([2 * slots, slots, maxBatch])].sort((a, b) => b - a).map((jobs) => ({ jobs }));
}
