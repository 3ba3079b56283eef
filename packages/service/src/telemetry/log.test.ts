import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { createLog } from './log.js';

function logged(format: 'json' | 'text'): string {
  let text = '';
  const to = {
    write(line: string) {
      text += line;
    },
  };
  const log = createLog({ service: 'llm', level: 'info', format, to });
  log.debug('unseen');
  log.error({ request_id: 'r 1', err: new TesseraError('QUEUE_FULL', 'no room') }, 'refused');
  return text;
}

test('json: one object a line, with service, level by name, and the code of an error', () => {
  expect(JSON.parse(logged('json'))).toMatchObject({
    level: 'error',
    service: 'llm',
    request_id: 'r 1',
    msg: 'refused',
    err: { type: 'TesseraError', code: 'QUEUE_FULL', message: 'no room' },
  });
});

test('text: a line for people, and the stack below it', () => {
  expect(logged('text')).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} error llm refused request_id="r 1"\n {2}TesseraError: no room\n {6}at /,
  );
});

test('text: what others sent cannot steer the terminal', () => {
  let text = '';
  const log = createLog({ service: 'llm', level: 'info', format: 'text', to: { write: (line) => (text += line) } });
  log.error({ name: '\u001b[2J\u009b2J', err: new TesseraError('REQUEST_INVALID', 'no \u001b[1A\r here') }, 'refused');
  expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
});
