import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { inClientsFields } from './engine-fields.js';

test.each<[engines: string | undefined, clients: string | undefined]>([
  ['conversation.messages[1].content[0].media', 'messages[1].content[0].media'],
  ['conversation.template_arguments.mode', 'template_arguments.mode'],
  ['text.top_p', 'text.top_p'],
  ['draw.steps', 'draw.steps'],
  ['media[2]', 'media[2]'],
  ['media[2].segments[0].role', undefined],
  ['forced_token_ids', undefined],
  ['tokens.token_ids', undefined],
  [undefined, undefined],
])('what an engine says of %s is of a client about %s', (engines, clients) => {
  const cause = new Error('the engine');
  const error = new TesseraError('REQUEST_INVALID', `${engines} is wrong`, { field: engines, stage: 'llm', cause });
  const said = inClientsFields(error) as TesseraError;
  expect(said.field).toBe(clients);
  expect(said).toMatchObject({ code: 'REQUEST_INVALID', options: { stage: 'llm', cause } });
  if (clients !== undefined) expect(said.message).toBe(`${clients} is wrong`);
});

test('what does not begin with the field is said as it is', () => {
  const error = new TesseraError('MEDIA_CORRUPT', 'nothing can be read of it', { field: 'conversation.messages' });
  expect(inClientsFields(error)).toMatchObject({
    message: 'nothing can be read of it',
    options: { field: 'messages' },
  });
});

test('an error of any other kind comes back as it is', () => {
  const error = new Error('conversation.messages is wrong');
  expect(inClientsFields(error)).toBe(error);
});
