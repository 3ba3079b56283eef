import { type StageName, stagesOf } from '../profile/profile.js';
import type { SimulationResult } from '../simulate/simulate.js';
import type { Advice } from './advice.js';
import type { Question } from './find-replicas.js';
import { hardest, shown } from './objective.js';

/** Why the advice is what it is. */
export function reasonsFor(question: Question, advice: Omit<Advice, 'reasons'>): string[] {
  const { objectives, most } = question;
  const { fixed, scaled, machine } = advice;
  const stages = stagesOf(question.profile);
  const reasons: string[] = [];
  const { name, waitMs, utilisation } = bottleneck(stages, fixed.result);
  if (!fixed.holds) {
    const objective = hardest(fixed.result, objectives);
    const at = shown(objective, objective.valueIn(fixed.result));
    const full = stages.filter((stage) => (fixed.replicas[stage] ?? 0) >= (most[stage] ?? 0));
    const bounds =
      full.length > 0 ? `; ${list(full)} ${full.length > 1 ? 'have' : 'has'} the most replicas allowed` : '';
    reasons.push(`Nothing within the bounds holds ${objective.text}: the nearest comes to ${at}${bounds}.`);
  }
  reasons.push(
    `The ${name} is the bottleneck: busy ${percent(utilisation)} of the time, and requests wait ${waitMs.toFixed(waitMs < 10 ? 1 : 0)} ms for it in the mean.`,
  );
  for (const [stage, { objective, value }] of fixed.oneLess) {
    reasons.push(`With one ${stage} less ${objective.text.split('=')[0]} comes to ${shown(objective, value)}.`);
  }
  if (scaled !== undefined) {
    const saved = 1 - scaled.result.cost / fixed.result.cost;
    reasons.push(`Following the load saves ${percent(saved)} of what fixed replicas cost.`);
  } else if (fixed.holds) reasons.push('Autoscaling that holds the objectives saves nothing here.');
  if (machine?.holds === true) {
    const apart = scaled?.result.cost ?? fixed.result.cost;
    const busy = percent(machine.result.machineUtilisation ?? 0);
    const [first, second] = [machine.cost.toFixed(2), apart.toFixed(2)];
    reasons.push(
      advice.machineIsBetter
        ? `One machine of ${machine.cores} cores for all is better: it costs ${first} against ${second}, since stages use what others leave (${busy} busy).`
        : `One machine for all needs ${machine.cores} cores and costs ${first} against ${second}: stages apart are better.`,
    );
  } else if (machine !== undefined) {
    reasons.push(`One machine for all does not hold the objectives with up to ${machine.cores} cores.`);
  }
  return reasons;
}

/** The stage that requests wait for the longest; where they hardly wait, the busiest. */
function bottleneck(stages: readonly StageName[], result: SimulationResult) {
  const all = stages.map((name) => ({ name, waitMs: 0, utilisation: 0, ...result.stages[name] }));
  const most = (by: 'waitMs' | 'utilisation') => all.reduce((worst, each) => (each[by] > worst[by] ? each : worst));
  const waited = most('waitMs');
  return waited.waitMs >= 1 ? waited : most('utilisation');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function list(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
