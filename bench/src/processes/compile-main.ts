import { copyFile } from 'node:fs/promises';
import { type CompileOptions, compileCheckpoint } from '@tessera/compiler';
import { timed } from '../taken.js';
import { answerCalls } from './answer-calls.js';

/** A process that compiles one checkpoint, or copies its file: its peak memory is then of that alone. */
const calls = {
  async compile({ dir, out, weights }: { dir: string; out: string; weights: CompileOptions['weights'] }) {
    const taken = await timed(() => compileCheckpoint(dir, out, { weights }));
    return { ...taken, peakBytes: 1024 * process.resourceUsage().maxRSS };
  },

  copy: ({ from, to }: { from: string; to: string }) => timed(() => copyFile(from, to)),
};

export type CompileCalls = typeof calls;

answerCalls(calls);
