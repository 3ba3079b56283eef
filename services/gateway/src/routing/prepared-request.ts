import type { DrawOptions, PromptConversation, TextOptions } from '@tessera/protocol';
import type { PlannedItem } from '../intake/media-plan.js';

/** One choice of a request whose media are whole and planned: all that an attempt needs. */
export interface PreparedRequest {
  /** Of this choice: what stages do for one is not taken for another's. */
  readonly requestId: string;
  /** The choice, counted from 0. */
  readonly choice: number;
  /** Who asks: sequences of one client share what the engine's cache has of them, and no others. */
  readonly client: string;
  /** Those with a higher one go first. */
  readonly priority: number;
  /** Media are named by the number of their item. */
  readonly conversation: PromptConversation;
  /** Of the conversation, for PrefixAffinity. */
  readonly beginnings: readonly string[];
  readonly items: readonly PlannedItem[];
  readonly text: TextOptions & { readonly seed: bigint };
  readonly draw: DrawOptions & { readonly seed: bigint };
  readonly deadlineMs: number;
}
