import { buildProgram } from '../constraint/build-program.js';
import { type AutomatonState, ByteAutomaton } from '../constraint/byte-automaton.js';
import type { Grammar } from '../constraint/grammar.js';

/** What a form makes of a text: whether the text has it, is a beginning of one that has, or neither. */
export function reader(grammar: Grammar): (text: string) => 'whole' | 'beginning' | 'neither' {
  const automaton = new ByteAutomaton(buildProgram(grammar, 'test', 'form'));
  return (text) => {
    let state: AutomatonState | null = automaton.start;
    automaton.allowWork();
    for (const byte of new TextEncoder().encode(text)) state = state && automaton.step(state, byte);
    if (state === null) return 'neither';
    return state.isAccepting ? 'whole' : 'beginning';
  };
}
