import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type ChatAnswer, callChat } from '@tessera/cli';
import { type ContentPart, type DrawOptions, Role } from '@tessera/protocol';
import { demoModel } from './deployment.js';
import type { StartInput } from './raw-chat.js';

/** One part of a user's message: words, or bytes of a media item. */
type Said = string | Uint8Array;

export interface Turn {
  readonly role?: Role;
  readonly says: readonly Said[];
}

export interface AskOptions {
  readonly text?: StartInput['text'];
  readonly draw?: DrawOptions;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export function sample(name: string): Uint8Array {
  return readFileSync(resolve(demoModel, 'samples', `${name}.png`));
}

/** Turns of a conversation as the messages and media of a request. */
function conversation(turns: readonly Turn[]) {
  const media = new Map<string, Uint8Array>();
  const messages = turns.map(({ role = Role.USER, says }) => ({
    role,
    content: says.map((said): ContentPart => {
      if (typeof said === 'string') return { part: { $case: 'text', value: said } };
      const name = `media-${media.size}`;
      media.set(name, said);
      return { part: { $case: 'media', value: name } };
    }),
  }));
  return { messages, media };
}

/** Asks through the gateway. */
export async function ask(gateway: string, turns: readonly Turn[], options: AskOptions = {}): Promise<ChatAnswer> {
  return await callChat({
    address: gateway,
    ...conversation(turns),
    text: options.text,
    draw: options.draw,
    timeoutMs: options.timeoutMs ?? 120_000,
    signal: options.signal,
  });
}
