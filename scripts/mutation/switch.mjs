// Which mutant is on in this process. What a test starts inherits it. In a run for the trail none is, and the numbers of
// those that the process comes by are written down.
import { appendFileSync } from 'node:fs';

const { TESSERA_MUTANT: on, TESSERA_MUTANT_TRAIL: trail } = process.env;
const mutantOn = Number(on ?? -1);
const passed = new Set();

/** Whether the mutant of that number is on. @public (mutated sources ask) */
export const mutantIsOn = trail === undefined ? (id) => id === mutantOn : comeBy;

function comeBy(id) {
  if (!passed.has(id)) {
    passed.add(id);
    // At once: a test may kill the process.
    appendFileSync(trail, `${id}\n`);
  }
  return false;
}
