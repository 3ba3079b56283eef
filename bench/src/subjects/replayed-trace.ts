import { type Profile, Trace, type TraceRequest } from '@tessera/adviser';
import { type Asker, newPicture } from '@tessera/cli';
import { planTiles } from '@tessera/media';

/** What a request took, in milliseconds since it was due. */
export interface Replayed {
  readonly request: TraceRequest;
  readonly ttftMs: number;
  readonly latencyMs: number;
  /** Of these, in the order of a request's way: until its prompt began to be computed, that, its other tokens, and the rest. */
  readonly parts: Parts;
}

export interface Parts {
  readonly before: number;
  readonly prompt: number;
  readonly writing: number;
  readonly end: number;
}

export interface ReplayTerms {
  readonly profile: Profile;
  readonly drawingPrompt: string;
  /** Words for so many tokens of a prompt. */
  wordsFor(tokens: number): number;
}

/**
 * Has the requests of a trace come to a gateway at their times, whatever becomes of those before.
 * @returns each as it was: with the lengths that its prompt and its answer had, which the trace only aimed at
 */
export async function replay(asker: Asker, trace: Trace, terms: ReplayTerms): Promise<Replayed[]> {
  const prepared = await Promise.all(
    Array.from({ length: trace.length }, async (_, index) => {
      const request = trace.request(index);
      const pictures = await Promise.all(request.pictures.map(({ width, height }) => newPicture(width, height)));
      return { request, pictures };
    }),
  );
  const startedAt = performance.now();
  const answers: Promise<Replayed>[] = [];
  for (const { request, pictures } of prepared) {
    const dueMs = request.at * 1000;
    const waitMs = startedAt + dueMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    answers.push(answer(asker, request, pictures, terms, startedAt + dueMs));
  }
  return Promise.all(answers);
}

async function answer(
  asker: Asker,
  request: Required<TraceRequest>,
  pictures: readonly Uint8Array[],
  { profile, drawingPrompt, wordsFor }: ReplayTerms,
  dueAt: number,
): Promise<Replayed> {
  const lateMs = performance.now() - dueAt;
  const asked = await asker.ask(
    request.drawings > 0
      ? { words: drawingPrompt, tokens: 64, free: true, drawingSteps: request.drawingSteps }
      : { words: wordsFor(request.textTokens), pictures, tokens: request.outputTokens },
  );
  const { preprocessing, tokensPerTile, tokensPerPicture } = profile;
  const visual = request.pictures.reduce((sum, size) => {
    const tiles = preprocessing === undefined ? 0 : planTiles(size, preprocessing).tiles.length;
    return sum + tiles * tokensPerTile + tokensPerPicture;
  }, 0);
  const textTokens = Math.max(1, asked.inputTokens - visual);
  return {
    request: {
      at: request.at,
      textTokens,
      outputTokens: Math.max(1, asked.outputTokens),
      cachedTokens: Math.min(textTokens, asked.cachedTokens),
      pictures: request.pictures,
      drawings: asked.pictures,
      drawingSteps: request.drawingSteps,
    },
    ttftMs: lateMs + asked.firstMs,
    latencyMs: lateMs + asked.endMs,
    parts: {
      before: lateMs + asked.firstMs - asked.spent('llm', 'prefill'),
      prompt: asked.spent('llm', 'prefill'),
      writing: asked.lastTextMs - asked.firstMs,
      end: asked.endMs - asked.lastTextMs,
    },
  };
}

/** The same requests as a trace, with the lengths that they had. */
export function traceOf(replayed: readonly Replayed[]): Trace {
  return Trace.from(replayed.map(({ request }) => request));
}
