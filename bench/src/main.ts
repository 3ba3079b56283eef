import { cpus } from 'node:os';
import { helpText, readOptions } from './options.js';
import { type Section, sectionJson, sectionText } from './report.js';
import { advise } from './suites/advise.js';
import { bus } from './suites/bus.js';
import { compile } from './suites/compile.js';
import { concurrency } from './suites/concurrency.js';
import { decodeSteps } from './suites/decode-steps.js';
import { expertLayer } from './suites/expert-layer.js';
import { expertShards } from './suites/expert-shards.js';
import { fleet } from './suites/fleet.js';
import { floor } from './suites/floor.js';
import { forms } from './suites/forms.js';
import { goodput } from './suites/goodput.js';
import { kvCache } from './suites/kv-cache.js';
import { kvTypes } from './suites/kv-types.js';
import { layerShards } from './suites/layer-shards.js';
import { memory } from './suites/memory.js';
import { overhead } from './suites/overhead.js';
import { prefixCache } from './suites/prefix-cache.js';
import { refusals } from './suites/refusals.js';
import { sampling } from './suites/sampling.js';
import { speculation } from './suites/speculation.js';
import { stepCost } from './suites/step-cost.js';
import type { Suite } from './suites/suite.js';
import { tile } from './suites/tile.js';
import { tokenCost } from './suites/token-cost.js';
import { weights } from './suites/weights.js';
import { workers } from './suites/workers.js';

const suites: readonly Suite[] = [
  overhead,
  tile,
  concurrency,
  decodeSteps,
  kvCache,
  kvTypes,
  expertShards,
  layerShards,
  expertLayer,
  compile,
  weights,
  floor,
  workers,
  stepCost,
  sampling,
  forms,
  speculation,
  tokenCost,
  prefixCache,
  goodput,
  refusals,
  memory,
  bus,
  fleet,
  advise,
];
const quickShare = 5;
const fewest = 3;

/** @returns what the suites measured, in their order; a section is printed as soon as it is there */
async function runAll(chosen: readonly Suite[], quick: boolean, print: (section: Section) => void): Promise<Section[]> {
  const sections: Section[] = [];
  const context = {
    times: (count: number) => (quick ? Math.max(fewest, Math.round(count / quickShare)) : count),
    say: (text: string) => void process.stderr.write(`${text}\n`),
  };
  for (const suite of chosen) {
    for (const section of await suite.run(context)) {
      sections.push(section);
      print(section);
    }
  }
  return sections;
}

/** The whole of `npm run bench`. @returns the exit status */
export async function main(args: readonly string[]): Promise<number> {
  let options: ReturnType<typeof readOptions>;
  try {
    options = readOptions(args);
  } catch (reason) {
    process.stderr.write(`${(reason as Error).message}\n\n${helpText(suites)}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(helpText(suites));
    return 0;
  }
  const unknown = options.only.filter((name) => !suites.some((suite) => suite.name === name));
  if (unknown.length > 0) {
    process.stderr.write(`There is no suite ${unknown.join(', ')}.\n\n${helpText(suites)}`);
    return 2;
  }
  const chosen = suites.filter(({ name }) => options.only.length === 0 || options.only.includes(name));
  const [processor] = cpus();
  const machine = `${cpus().length} cores, ${processor?.model.trim()}, Node ${process.versions.node}`;
  const about = `${new Date().toISOString()}, ${machine}${options.quick ? '; a quick run, not to be quoted' : ''}`;
  if (!options.json) process.stdout.write(`${about}\n\n`);
  const sections = await runAll(chosen, options.quick, (section) => {
    if (!options.json) process.stdout.write(`${sectionText(section)}\n`);
  });
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ about, sections: sections.map(sectionJson) }, undefined, 2)}\n`);
  }
  return 0;
}
