import { createHash } from 'node:crypto';
import { PromptConversation, type PromptMessage } from '@tessera/protocol';

/** Turns that a conversation gains between two requests: the answer, and what is said to it. */
const turnsBetween = 2;
/** Of those remembered, the part that is forgotten at a time. */
const batchShare = 64;

/**
 * Digests of a conversation's beginnings, after each of its turns; of what a client sent before, the same come out.
 * @param digests of the media items, which the turns name by number
 */
export function beginnings(
  client: string,
  { messages, templateArguments }: PromptConversation,
  digests: readonly string[],
): readonly string[] {
  const first = PromptConversation.encode({ messages: [], templateArguments }).finish();
  let digest = createHash('sha256').update(JSON.stringify(client)).update(first).digest();
  return messages.map((message) => {
    digest = createHash('sha256').update(digest).update(described(message, digests)).digest();
    return digest.toString('base64');
  });
}

/** One turn, with the media's digests in place of their numbers, which hang on what else the request has. */
function described({ role, content }: PromptMessage, digests: readonly string[]): string {
  const parts = content.map(({ part }) => (part?.$case === 'media' ? { media: digests[part.value] } : part?.value));
  return JSON.stringify([role, parts]);
}

interface Noted {
  readonly engine: string;
  readonly promptTokens: number;
}

/** An engine that may have a conversation in its cache. */
export interface KnownConversation {
  readonly engine: string;
  /** Whether pictures of it are likely there too, so that they are made only when the engine asks for them. */
  readonly holdsPictures: boolean;
}

/** A prompt of so many tokens, asked again, is found in the cache for the most part. */
const worthwhileTokens = 64;

/**
 * Remembers which engine answered which conversation: it may have what it computed of it in its cache. Each gateway knows
 * of its own requests only; those used least recently are forgotten.
 */
export class PrefixAffinity {
  /** By the digest of a beginning; from the one used least recently to the last one used. */
  private readonly engines = new Map<string, Noted>();

  /** @param most beginnings that are remembered */
  constructor(private readonly most: number) {}

  /**
   * The engine that answered this conversation's last turn, or this very one. What many conversations have in common, such
   * as a system prompt, is no reason: they would all go to one engine.
   * @param digests from `beginnings`
   */
  find(digests: readonly string[]): KnownConversation | undefined {
    for (const [back, digest] of digests
      .slice(-1 - turnsBetween)
      .reverse()
      .entries()) {
      const noted = this.engines.get(digest);
      if (noted === undefined) continue;
      const { engine, promptTokens } = noted;
      // Of a short prompt that is asked again next to nothing is taken from the cache, and its pictures are soon needed.
      return { engine, holdsPictures: back > 0 || promptTokens >= worthwhileTokens };
    }
    return undefined;
  }

  /** An engine has computed it. */
  note(digests: readonly string[], engine: string, promptTokens: number): void {
    const whole = digests.at(-1);
    if (whole === undefined) return;
    this.engines.delete(whole);
    this.engines.set(whole, { engine, promptTokens });
    if (this.engines.size <= this.most) return;
    // Some at a time: to find the oldest of a map is to walk over all that were deleted before it.
    const least = this.most - Math.floor(this.most / batchShare);
    for (const oldest of this.engines.keys()) {
      if (this.engines.size <= least) return;
      this.engines.delete(oldest);
    }
  }
}
