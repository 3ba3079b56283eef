import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What is called of node-llama-cpp, which is no dependency: it is found where somebody has installed it. */
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LlamaModel> }>;
}
interface LlamaModel {
  createContext(options: object): Promise<LlamaContext>;
  dispose(): Promise<void>;
}
interface LlamaContext {
  getSequence(): LlamaSequence;
  dispose(): Promise<void>;
}
interface LlamaSequence {
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
  clearHistory(): Promise<void>;
}

/** Where node-llama-cpp is looked for: in this tree, or in the folder that this variable names. */
const folderVariable = 'BENCH_NODE_LLAMA_CPP';

async function load(): Promise<NodeLlamaCpp | undefined> {
  const folder = process.env[folderVariable] ?? process.cwd();
  try {
    const path = createRequire(join(folder, 'package.json')).resolve('node-llama-cpp');
    return (await import(pathToFileURL(path).href)) as NodeLlamaCpp;
  } catch {
    return undefined;
  }
}

/** A model in llama.cpp: what a call of it costs. */
export class LlamaCpp {
  private constructor(
    private readonly model: LlamaModel,
    private readonly threads: number,
  ) {}

  /** @returns undefined where node-llama-cpp is not installed */
  static async open(threads: number, gguf: () => Promise<string>): Promise<LlamaCpp | undefined> {
    const package_ = await load();
    if (package_ === undefined) return undefined;
    const options = { build: 'never', gpu: false, maxThreads: threads, progressLogs: false, skipDownload: true };
    const llama = await package_.getLlama({ ...options, logLevel: 'error' });
    return new LlamaCpp(await llama.loadModel({ modelPath: await gguf() }), threads);
  }

  /** Sequences that have `past` tokens each; what is measured is one more of each, or a prompt of `past` from nothing. */
  async sequences(count: number, past: number): Promise<LlamaCppSequences> {
    const threads = { ideal: this.threads, min: this.threads };
    const size = { contextSize: past + 128, batchSize: past, sequences: count };
    const context = await this.model.createContext({ ...size, threads, flashAttention: true });
    const prompt = Array.from({ length: past }, (_, i) => 300 + ((i * 37) % 40000));
    const all = Array.from({ length: count }, () => context.getSequence());
    for (const sequence of all) await sequence.evaluateWithoutGeneratingNewTokens(prompt);
    let next = 1000;
    return {
      decode: async () => {
        const token = next++;
        await Promise.all(
          all.map(async (sequence) => {
            for await (const _ of sequence.evaluate([token], { temperature: 0, yieldEogToken: true })) break;
          }),
        );
      },
      prefill: async () => {
        const [sequence] = all as [LlamaSequence];
        await sequence.clearHistory();
        await sequence.evaluateWithoutGeneratingNewTokens(prompt);
      },
      close: () => context.dispose(),
    };
  }

  close(): Promise<void> {
    return this.model.dispose();
  }
}

export interface LlamaCppSequences {
  /** One token more of each, the next one chosen greedily. */
  decode(): Promise<void>;
  /** The first sequence's prompt, computed again from nothing. */
  prefill(): Promise<void>;
  close(): Promise<void>;
}
