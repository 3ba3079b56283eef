import type { AnswerEvent } from '@tessera/protocol';

/** What one event of an answer says; its number it gets when it leaves. */
export type AnswerEventBody = NonNullable<AnswerEvent['event']>;
