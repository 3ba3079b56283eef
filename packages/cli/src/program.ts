import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kvCacheTypes, weightKinds } from '@tessera/bundle';
import { type Cut, parseCut } from '@tessera/compiler';
import { TesseraError } from '@tessera/protocol';
import { Command, InvalidArgumentError, Option } from 'commander';
import { adviserCommands } from './adviser-commands.js';
import { collect, decimal, wholeNumber } from './arguments.js';
import { type AskOptions, ask, draw } from './commands/ask.js';
import { bundleCommands } from './commands/bundle.js';
import { type CompileCommandOptions, compile } from './commands/compile.js';
import { inspect } from './commands/inspect.js';
import { type PullCommandOptions, pull } from './commands/pull.js';
import { streamsCommands } from './commands/streams-commands.js';
import { defaultCacheDir, up } from './commands/up.js';
import { exitCodeOf, exitCodes } from './exit-codes.js';
import { HintedError } from './hinted-error.js';
import { modelForms } from './model-source.js';
import { placeCommands } from './place-program.js';
import { bold } from './terminal.js';
import { tlsFlags } from './tls-flags.js';
import { version } from './version.js';

/** The port that `tessera up` listens on and `tessera ask` calls, unless told otherwise. */
const defaultGatewayPort = 7070;

/** The model that comes with Tessera. */
const demoModelDir = resolve(fileURLToPath(import.meta.url), '../../../../models/demo');

/** Runs one command line; returns the exit status and never throws. */
export async function run(argv: readonly string[]): Promise<number> {
  const stop = new AbortController();
  const heard = new Set<NodeJS.Signals>();
  const onSignal = (signal: NodeJS.Signals): void => {
    // A second Ctrl-C does not wait for the drain. (A parent that hears the first one, too, may add its SIGTERM.)
    if (heard.has(signal)) process.exit(exitCodes.interrupted);
    heard.add(signal);
    stop.abort(new TesseraError('CANCELLED', 'interrupted'));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  // Whoever read the output has gone, as `head` does: nothing is left to say, but what runs is to be ended well.
  process.stdout.on('error', () => stop.abort(new TesseraError('CANCELLED', 'nobody reads the output any more')));
  const program = buildProgram(stop.signal);
  try {
    await program.parseAsync(argv as string[]);
    return exitCodes.ok;
  } catch (reason) {
    if (isCommanderExit(reason)) return reason.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const error = TesseraError.from(reason);
    const hint = error instanceof HintedError ? error.hint : error.row.whatToDo;
    process.stderr.write(`${bold('tessera:')} ${error.message} [${error.code}]\n  ${hint}\n`);
    return exitCodeOf(error);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

function isCommanderExit(reason: unknown): reason is { exitCode: number } {
  return (
    reason instanceof Error &&
    'exitCode' in reason &&
    String((reason as { code?: unknown }).code).startsWith('commander.')
  );
}

function buildProgram(signal: AbortSignal): Command {
  const program = new Command('tessera')
    .description('Serves a multimodal large language model as separate services, and talks to it.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(--help says what can be asked)')
    .addHelpText('after', exitCodeHelp());

  program
    .command('up')
    .description('run NATS and every service on this machine, in the foreground; Ctrl-C drains and stops them')
    .option('--model <model>', `checkpoint to serve: ${modelForms}`, demoModelDir)
    .addOption(weightsOption())
    .addOption(kvCacheOption())
    .option(
      '--experts <n>',
      "so many expert shards hold a mixture's experts; without it the engine does",
      wholeNumber(1, 1024),
    )
    .option('--cache <dir>', 'where compiled models are kept', defaultCacheDir())
    .option('--nats-url <url>', 'use this NATS server instead of starting one')
    .option('--nats-port <n>', 'port of the NATS server; 0 takes any free one', wholeNumber(0, 65535), 0)
    .option(
      '--chat-template <name>',
      'chat template: one that the model has by this name, chatml, plain, a file, or none; a base model needs one',
    )
    .addOption(
      new Option('--prefix <word>', 'first word of every NATS subject, so that several deployments can share one NATS')
        .argParser(natsPrefix)
        .default('tessera'),
    )
    .option('--port <n>', 'gRPC port of the gateway; 0 takes any free one', wholeNumber(0, 65535), defaultGatewayPort)
    .option('--grace-ms <n>', 'how long a service may take to drain', wholeNumber(0, 3_600_000), 30_000)
    .option('--json', 'one line of JSON a service', false)
    .option('--verbose', 'show every log line of the services', false)
    .action((options) => up(options, signal));

  chatOptions(program.command('ask'))
    .description('ask a question, with pictures or without; the answer streams to stdout')
    .argument('<question>', 'what to ask')
    .option('--out <file>', 'where a drawing is saved, if the model draws one')
    .action((question: string, options: AskOptions) => ask(question, options, signal));

  chatOptions(program.command('draw'))
    .description('ask for a drawing and save it as PNG')
    .argument('<request>', 'what to draw, said as a request: "Draw a red apple on a blue background."')
    .requiredOption('--out <file>', 'where the drawing is saved')
    .action((request: string, options: AskOptions & { out: string }) => draw(request, options, signal));

  program
    .command('inspect')
    .description('show the parameters of each stage of a model; config.json alone is enough')
    .argument('<model>', `checkpoint, or a config.json: ${modelForms}, of which no weights are pulled`)
    .option('--json', 'as JSON', false)
    .action((model: string, options: { json: boolean }) => inspect(model, options, signal));

  program
    .command('pull')
    .description(
      'fetch what is needed of a model on the hub into the cache of Hugging Face (HF_HOME), checked by hash; a run that was ended goes on',
    )
    .argument('<id>', 'ORG/NAME[@REVISION]; of GGUF files one by its name or type: ORG/NAME:Q8_0')
    .option('--verify', 'compare what is in the cache already with its hash, too', false)
    .option(
      '--timeout-ms <n>',
      'how long a server may be silent, 300000 at most; else HF_HUB_DOWNLOAD_TIMEOUT (seconds), else 30000',
      wholeNumber(1, 300_000),
    )
    .option('--retries <n>', 'failures in a row that are tried again', wholeNumber(0, 1000), 5)
    .option('--json', 'the result as JSON', false)
    .addHelpText('after', pullHelp)
    .action((id: string, options: PullCommandOptions) => pull(id, options, signal));

  program
    .command('compile')
    .description('compile a checkpoint into a bundle: one ONNX graph a stage, and a manifest')
    .argument('<model>', `checkpoint: ${modelForms}`)
    .requiredOption('--out <dir>', 'folder to write')
    .addOption(weightsOption())
    .addOption(kvCacheOption())
    .addOption(
      new Option(
        '--cut <how>',
        'also write the LLM in pieces that other processes can hold: experts of a mixture, or layers=N for N pieces of layers',
      ).argParser(cutOption),
    )
    .option(
      '--keep',
      'leave a bundle that is there already and was made from the same, as a container that is started anew needs',
      false,
    )
    .option('--json', 'the result as JSON', false)
    .action((model: string, options: CompileCommandOptions) => compile(model, options, signal));

  bundleCommands(program.command('bundle'), signal);
  placeCommands(program.command('place'), signal);
  streamsCommands(program.command('streams'), signal);
  adviserCommands(program, signal);
  return program;
}

function chatOptions(command: Command): Command {
  return tlsFlags(command)
    .option('--image <file>', 'a picture to show; may be given several times', collect, [])
    .option('--system <text>', 'instructions that hold for the whole conversation')
    .option('--seed <n>', 'the same seed gives the same answer', seed)
    .option('--choices <n>', 'so many answers, each under a seed of its own', wholeNumber(1, 1024), 1)
    .option('--temperature <n>', '0 is greedy', decimal)
    .option('--top-k <n>', 'sample from this many of the likeliest tokens', wholeNumber(1, 1_000_000))
    .option('--top-p <n>', 'sample from the smallest set of tokens whose probability reaches this', decimal)
    .option('--min-p <n>', "sample from tokens with at least this share of the likeliest one's probability", decimal)
    .option('--repetition-penalty <n>', 'over 1: tokens of prompt and answer become less likely', decimal)
    .option('--presence-penalty <n>', 'taken from the logit of each token of the answer', decimal)
    .option('--frequency-penalty <n>', 'taken from it as often as the token stands there', decimal)
    .option('--logit-bias <id=n>', 'added to the logit of a token; may be given several times', logitBias)
    .option('--max-tokens <n>', 'the most tokens to write', wholeNumber(1, 1_000_000))
    .option('--min-tokens <n>', 'the fewest tokens to write before the model may end', wholeNumber(0, 1_000_000))
    .option('--stop <text>', 'stop before this text; may be given several times', collect)
    .option('--stop-token <id>', 'stop before this token; may be given several times', tokenIds)
    .option('--steps <n>', 'denoising steps of a drawing', wholeNumber(1, 1000))
    .option('--guidance <n>', 'how closely a drawing keeps to its request', decimal)
    .option('--json-object', 'answer with a JSON object')
    .option('--schema <file>', 'answer with JSON that keeps the JSON Schema in this file')
    .option('--regex <pattern>', 'answer with a text that this regular expression matches as a whole')
    .option('--logprobs <n>', 'with --json: how likely each token was, and this many others', wholeNumber(0, 20))
    .option('--timeline', 'show what each stage did, and when', false)
    .option('--json', 'print the whole answer as JSON when it is complete', false)
    .option('--timeout-ms <n>', 'give up after this long', wholeNumber(1, 86_400_000), 120_000)
    .addOption(
      new Option('--address <host:port>', 'gRPC address of the gateway')
        .env('TESSERA_ADDRESS')
        .default(`127.0.0.1:${defaultGatewayPort}`),
    );
}

function weightsOption(): Option {
  return new Option('--weights <kind>', 'how weights are stored')
    .choices(['auto', ...weightKinds])
    .default('auto', 'auto: float32, and of a GGUF file what comes nearest to what it stores');
}

function kvCacheOption(): Option {
  return new Option('--kv-cache <type>', 'how keys and values are held; float16: in half of the memory, rounded')
    .choices(kvCacheTypes)
    .default('float32');
}

function logitBias(value: string, earlier: Readonly<Record<number, number>> = {}): Record<number, number> {
  const [, id, bias] = /^(\d+)=(.+)$/.exec(value) ?? [];
  if (id === undefined || bias === undefined)
    throw new InvalidArgumentError('Say it as 42=-5: a token id and a number.');
  return { ...earlier, [tokenId(id)]: decimal(bias) };
}

function tokenIds(value: string, earlier: readonly number[] = []): number[] {
  return [...earlier, tokenId(value)];
}

/** Token ids travel in 32 bits. */
const tokenId = wholeNumber(0, 2 ** 32 - 1);

/** How a model is cut; said once, since there is one cut. */
function cutOption(text: string, previous: Cut | undefined): Cut {
  try {
    return parseCut(previous === undefined ? text : `${previous} and ${text}`);
  } catch (reason) {
    throw new InvalidArgumentError(TesseraError.from(reason).message);
  }
}

function natsPrefix(text: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) throw new InvalidArgumentError('Use letters, digits, - and _ only.');
  return text;
}

function seed(text: string): bigint {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 2n ** 64n) {
    throw new InvalidArgumentError('It must be a whole number from 0 to 2^64 - 1.');
  }
  return BigInt(text);
}

const pullHelp = `
Environment:
  HF_TOKEN         who asks, for gated and private models; else the file token of HF_HOME
  HF_ENDPOINT      the hub; https://huggingface.co by default
  HF_HOME          the cache's home, ~/.cache/huggingface by default; HF_HUB_CACHE names the cache itself
  HF_HUB_OFFLINE   1: only what is in the cache, and no request`;

function exitCodeHelp(): string {
  return `
Exit status:
  ${exitCodes.ok}    done
  ${exitCodes.failed}    it failed; the message says why
  ${exitCodes.usage}    the command line, a file or a setting is wrong
  ${exitCodes.unavailable}    the server cannot be reached, is full or is shutting down; try again
  ${exitCodes.interrupted}  ended by Ctrl-C`;
}
