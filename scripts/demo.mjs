// The main job on the embedded model: starts everything, shows it three pictures, asks for a drawing, stops everything.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { formatTimeline } from '@tessera/cli';
import { connect } from '@tessera/client';

const root = resolve(import.meta.dirname, '..');
const samples = join(root, 'models/demo/samples');
const outDir = join(root, 'out/demo');

const questions = [
  { image: 'apple.png', text: 'What is this?' },
  { image: 'apple.png', text: '这是什么？' },
  { image: 'count.png', text: 'How many are there?' },
  { image: 'count.png', text: '有几个？' },
  { image: 'pair.png', text: 'What is on the left?' },
  { image: 'pair.png', text: '右边是什么？' },
  { text: 'Draw a red apple on a blue background.' },
];

/** Starts `tessera up` and waits for its ready line. */
async function startStack() {
  const up = spawn(
    process.execPath,
    [join(root, 'packages/cli/dist/main.js'), 'up', '--json', '--port', '0', '--cache', join(root, '.cache/bundles')],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = new Promise((done) => up.once('exit', (code, signal) => done(code ?? signal)));
  const gateway = await new Promise((done, fail) => {
    createInterface({ input: up.stdout }).on('line', (text) => {
      const line = JSON.parse(text);
      if (line.ready) done(line.gateway);
      else console.log(`  ${line.service.padEnd(10)} ${line.address}${line.pid ? `  (process ${line.pid})` : ''}`);
    });
    ended.then((status) => fail(new Error(`tessera up ended with ${status}; its messages are above`)));
  });
  return { gateway, ended, stop: () => up.kill('SIGTERM') };
}

async function ask(client, { image, text }, signal) {
  process.stdout.write(`\n${image ? `[${image}] ` : ''}${text}\n> `);
  const content = [...(image ? [{ image: { file: join(samples, image) } }] : []), text];
  const stream = client.chat({ messages: [{ role: 'user', content }], draw: { seed: 7 } }, { signal });
  for await (const event of stream) {
    if (event.type === 'text') process.stdout.write(event.text);
    if (event.type === 'draw_progress')
      process.stdout.write(event.step === event.steps ? ` [${event.steps} steps]` : '.');
  }
  const answer = await stream.answer();
  process.stdout.write('\n');
  console.log(formatTimeline(answer.timeline));
  for (const picture of answer.pictures) {
    mkdirSync(outDir, { recursive: true });
    const file = join(outDir, 'drawing.png');
    writeFileSync(file, picture.bytes);
    console.log(`  drawing saved: ${relative(root, file)} (${picture.bytes.length} bytes)`);
  }
}

const interrupt = new AbortController();
process.on('SIGINT', () => interrupt.abort(new Error('interrupted')));
process.on('SIGTERM', () => interrupt.abort(new Error('interrupted')));

console.log('starting NATS and the services:');
const stack = await startStack();
const client = connect(stack.gateway);
let failed = false;
try {
  for (const question of questions) await ask(client, question, interrupt.signal);
} catch (reason) {
  console.error(`\ndemo failed: ${reason.message}`);
  failed = true;
} finally {
  client.close();
  stack.stop();
  const status = await stack.ended;
  console.log(`\nall services drained and stopped (status ${status})`);
  process.exitCode = failed || status !== 0 ? 1 : 0;
}
