// A source with many mutants in it at once, each behind a switch: one build and one set of loaded modules serve them all,
// and which of them is on is said to a process as it starts (switch.mjs).

/** What asks whether a mutant is on; no source has a name like it. */
const question = '__mutantIsOn';

/**
 * @param {string} source
 * @param {(import('./mutants.mjs').Mutant & { id: number })[]} mutants of that source
 * @param {string} switchPath of switch.mjs, as the source imports it
 */
export function behindSwitch(source, mutants, switchPath) {
  const places = new Map();
  for (const mutant of mutants) {
    const key = mutant.within.join();
    const place = places.get(key) ?? { start: mutant.within[0], end: mutant.within[1], form: mutant.form, mutants: [] };
    place.mutants.push(mutant);
    places.set(key, place);
  }
  // Outer ones first: they are stretches of a syntax tree, so each lies whole inside another or beside it.
  const sorted = [...places.values()].toSorted((one, other) => one.start - other.start || other.end - one.end);
  const [shebang = ''] = /^#!.*\n/.exec(source) ?? [];
  const imports = `import { mutantIsOn as ${question} } from ${JSON.stringify(switchPath)}; `;
  return shebang + imports + render(source, shebang.length, source.length, sorted);
}

/** The text from start to end, with the places in it made into choices. */
function render(source, start, end, places) {
  let text = '';
  let at = start;
  for (let index = 0; index < places.length; ) {
    const place = places[index++];
    const inside = [];
    while (index < places.length && places[index].end <= place.end) inside.push(places[index++]);
    text += source.slice(at, place.start) + choice(source, place, inside);
    at = place.end;
  }
  return text + source.slice(at, end);
}

/** Where no mutant is on the text is what it was, and mutants further inside have their say. */
function choice(source, { start, end, form, mutants }, inside) {
  if (form === 'property') {
    const [mutant] = mutants;
    const opening = source.slice(start, mutant.start).includes('?.') ? '?.[' : '[';
    return `${opening}${question}(${mutant.id}) ? '${mutant.to}' : '${mutant.from}']`;
  }
  const original = render(source, start, end, inside);
  if (form === 'statement') {
    return `{ if (!(${mutants.map(({ id }) => `${question}(${id})`).join(' || ')})) { ${original} } }`;
  }
  const wrong = (mutant) => source.slice(start, mutant.start) + mutant.to + source.slice(mutant.end, end);
  const branches = mutants.map((mutant) => `${question}(${mutant.id}) ? (${wrong(mutant)}) : `);
  return `(${branches.join('')}(${original}))`;
}
