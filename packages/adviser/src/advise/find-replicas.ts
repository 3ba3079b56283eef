import { hourOf, type Profile, type StageName, stagesOf } from '../profile/profile.js';
import { type SimulationResult, simulate } from '../simulate/simulate.js';
import type { Trace } from '../trace/trace.js';
import { busiestPart } from './busiest.js';
import { excess, hardest, type Objective } from './objective.js';

export type Replicas = Readonly<Partial<Record<StageName, number>>>;

export interface Question {
  readonly trace: Trace;
  readonly profile: Profile;
  readonly objectives: readonly Objective[];
  /** The most replicas of each stage. */
  readonly most: Replicas;
  readonly seed: number;
  readonly signal?: AbortSignal;
  /** Told what is tried. */
  tell?(what: string): void;
}

/** What one replica less of a stage would mean. */
interface OneLess {
  readonly objective: Objective;
  readonly value: number;
}

export interface FoundReplicas {
  readonly replicas: Replicas;
  readonly holds: boolean;
  /** Of the whole trace. */
  readonly result: SimulationResult;
  /** Why a stage has as many as it has; absent where it has one, or its most. */
  readonly oneLess: ReadonlyMap<StageName, OneLess>;
}

/** Requests of the part that is searched on; the whole is simulated at the end. */
const partRequests = 20_000;
/** Stages go up by this at least, or by a share of what they have. */
const growth = 0.15;
const mostRounds = 200;

/**
 * The cheapest replicas for the objectives, as far as going up where requests wait the longest, and down again stage by
 * stage, finds them: a change of several stages at once that would be cheaper is not looked for.
 */
export function findReplicas(question: Question): FoundReplicas {
  const { trace, profile } = question;
  const part = busiestPart(trace, partRequests, profile);
  const onPart = { ...question, trace: part };
  const first = Object.fromEntries(stagesOf(profile).map((stage) => [stage, 1]));
  let raised = raise(onPart, leastFor(onPart, first));
  const oneLess = new Map<StageName, OneLess>();
  if (raised.holds) raised = lower(onPart, raised.replicas, oneLess);
  if (part === trace) return { ...raised, oneLess };
  // What holds in the busiest part may not in the whole: what piles up over hours shows only there.
  const whole = raise(question, raised.replicas);
  if (!whole.holds) oneLess.clear();
  return { ...whole, oneLess };
}

interface Tried {
  readonly replicas: Replicas;
  readonly holds: boolean;
  readonly result: SimulationResult;
}

function attempt({ trace, profile, objectives, seed, signal, tell }: Question, replicas: Replicas): Tried {
  const result = simulate({ trace, profile, replicas, seed, signal });
  const distance = excess(result, objectives);
  // A gateway whose tokens pile up holds nothing, whatever the others do: its clients read later than engines write.
  const holds = distance <= 1 && (result.stages.gateway?.utilisation ?? 0) < 1;
  tell?.(`${counts(replicas)}: ${holds ? 'holds' : `${distance.toFixed(2)} times too much`}`);
  return { replicas, holds, result };
}

/**
 * Where to begin: half of what is busy when there are the most of each. What comes together in fewer replicas is computed in
 * larger batches, so that fewer may do than are busy; half as many hardly ever do.
 */
function leastFor({ trace, profile, most, seed, signal }: Question, one: Replicas): Replicas {
  const { stages } = simulate({ trace, profile, replicas: most, seed, signal });
  const half = Object.keys(one).map((name) => {
    const stage = name as StageName;
    const { utilisation = 0, mostReplicas = 1 } = stages[stage] ?? {};
    return [stage, Math.max(1, Math.floor((utilisation * mostReplicas) / 2))];
  });
  return Object.fromEntries(half);
}

/** More where requests wait the longest, until all holds or nothing more may be had. */
function raise(question: Question, from: Replicas): Tried {
  const { most, profile } = question;
  let tried = attempt(question, from);
  let nearest = tried;
  for (let round = 0; !tried.holds && round < mostRounds; round++) {
    const { replicas, result } = tried;
    const open = stagesOf(profile).filter((stage) => (replicas[stage] ?? 1) < (most[stage] ?? 1));
    if (open.length === 0) break;
    const stage = open.reduce((worst, each) => (needOf(each, result) > needOf(worst, result) ? each : worst));
    const has = replicas[stage] ?? 1;
    const more = Math.min(most[stage] ?? 1, has + Math.max(1, Math.round(has * growth)));
    tried = attempt(question, { ...replicas, [stage]: more });
    if (excess(tried.result, question.objectives) < excess(nearest.result, question.objectives)) nearest = tried;
  }
  return tried.holds ? tried : nearest;
}

/** How much a stage is in need of more replicas: by what waits for it, and by how little idle it is. */
function needOf(stage: StageName, { stages }: SimulationResult): number {
  const { waitMs = 0, utilisation = 0 } = stages[stage] ?? {};
  return waitMs + utilisation;
}

/** Fewer where they are not needed, the dearest stage first, until no stage can do with one less. */
function lower(question: Question, from: Replicas, oneLess: Map<StageName, OneLess>): Tried {
  const { profile, objectives } = question;
  const byCost = stagesOf(profile).sort((a, b) => hourOf(profile, b) - hourOf(profile, a));
  let held = attempt(question, from);
  for (const stage of byCost) {
    let enough = held.replicas[stage] ?? 1;
    let tooFew = 0;
    while (enough - tooFew > 1) {
      const count = Math.max(tooFew + 1, Math.floor((enough + tooFew) / 2));
      const tried = attempt(question, { ...held.replicas, [stage]: count });
      if (tried.holds) {
        held = tried;
        enough = count;
        continue;
      }
      tooFew = count;
      const objective = hardest(tried.result, objectives);
      oneLess.set(stage, { objective, value: objective.valueIn(tried.result) });
    }
  }
  return held;
}

/** Replicas in words. */
export function counts(replicas: Replicas): string {
  return Object.entries(replicas)
    .map(([stage, count]) => `${count} ${stage}`)
    .join(', ');
}
