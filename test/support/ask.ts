import { type Answer, type CallOptions, type ChatRequest, connect, type Role } from '@tessera/client';

export interface Turn {
  /** The user if absent. */
  readonly role?: Role;
  /** Words, or bytes of a picture. */
  readonly says: readonly (string | Uint8Array)[];
}

export type AskOptions = Pick<ChatRequest, 'text' | 'draw' | 'choices'> & CallOptions;

/** Asks through the gateway, once: a failure is what the test is about. */
export async function ask(
  gateway: string,
  turns: readonly Turn[],
  { text, draw, choices, ...options }: AskOptions = {},
): Promise<Answer> {
  using client = connect(gateway, { retry: { maxAttempts: 1 } });
  const messages = turns.map(({ role = 'user', says }) => ({
    role,
    content: says.map((said) => (typeof said === 'string' ? said : { image: { bytes: said } })),
  }));
  return await client.chat({ messages, text, draw, choices }, options).answer();
}
