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

/**
 * Remembers which engine answered which conversation: it may have what it computed of it in its cache. Each gateway knows
 * of its own requests only; those used least recently are forgotten.
 */
export class PrefixAffinity {
  /** By the digest of a beginning; from the one used least recently to the last one used. */
  private readonly engines = new Map<string, string>();

  /** @param most beginnings that are remembered */
  constructor(private readonly most: number) {}

  /**
   * The engine that answered this conversation's last turn, or this very one. What many conversations have in common, such
   * as a system prompt, is no reason: they would all go to one engine.
   * @param digests from `beginnings`
   */
  engineOf(digests: readonly string[]): string | undefined {
    for (const digest of digests.slice(-1 - turnsBetween).reverse()) {
      const engine = this.engines.get(digest);
      if (engine !== undefined) return engine;
    }
    return undefined;
  }

  /** An engine has computed it. */
  note(digests: readonly string[], engine: string): void {
    const whole = digests.at(-1);
    if (whole === undefined) return;
    this.engines.delete(whole);
    this.engines.set(whole, engine);
    if (this.engines.size <= this.most) return;
    // Some at a time: to find the oldest of a map is to walk over all that were deleted before it.
    const least = this.most - Math.floor(this.most / batchShare);
    for (const oldest of this.engines.keys()) {
      if (this.engines.size <= least) return;
      this.engines.delete(oldest);
    }
  }
}
