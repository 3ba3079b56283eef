import type { PictureSize } from '@tessera/adviser';
import { arrivalKinds, type Lengths, syntheticDefaults } from '@tessera/adviser/synthetic-options';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { collect, decimal, wholeNumber } from './arguments.js';
import type { AdviseCommandOptions } from './commands/advise.js';
import type { ProfileCommandOptions } from './commands/profile.js';
import type { TraceCommandOptions } from './commands/trace.js';
import { tlsFlags } from './tls-flags.js';

const maxRequests = 100_000_000;
const { textTokens, outputTokens, pictureSizes, ...defaults } = syntheticDefaults;

/**
 * The commands that say what to run: a trace of requests, a profile of the stages, and the advice from both. Each loads what
 * it needs when it is called: no other command is to wait for it.
 */
export function adviserCommands(program: Command, signal: AbortSignal): void {
  const lengths = (text: string): Lengths => lengthsOf(text, textTokens.most);
  program
    .command('trace')
    .description(
      'make requests for tessera advise: arrivals, lengths, pictures and drawings by chance, the same for the same seed',
    )
    .option('--out <file>', 'where they are written; else to stdout')
    .option('--requests <n>', 'so many', wholeNumber(1, maxRequests), defaults.requests)
    .option('--seconds <n>', 'none after so many seconds', decimal)
    .option('--rate <n>', 'requests a second, in the mean', decimal, defaults.rate)
    .addOption(
      new Option(
        '--arrivals <kind>',
        'one by one at random; in bursts; in some part of each period only; or as by day and night',
      )
        .choices(arrivalKinds)
        .default(defaults.arrivals),
    )
    .option(
      '--burstiness <n>',
      'of bursty: how much more the gaps vary than those of poisson',
      decimal,
      defaults.burstiness,
    )
    .option('--period <n>', 'of onoff and diurnal: its seconds', decimal, defaults.period)
    .option(
      '--share <n>',
      'of onoff: how much of a period is on; of diurnal: how far the peak is above the mean',
      decimal,
      defaults.share,
    )
    .option('--text-tokens <median,sigma>', 'lengths of prompts without their pictures, lognormal', lengths, textTokens)
    .option('--output-tokens <median,sigma>', 'lengths of answers, lognormal', lengths, outputTokens)
    .option('--pictures <share>', 'how many of the requests show pictures, 0 to 1', decimal, defaults.pictureShare)
    .option(
      '--max-pictures <n>',
      'pictures of a request that shows some, at most',
      wholeNumber(1, 1024),
      defaults.maxPictures,
    )
    .option('--picture-size <WxH>', 'size of pictures in pixels; several are taken by turns of chance', pictureSize)
    .option('--drawings <share>', 'how many of the requests come to a drawing, 0 to 1', decimal, defaults.drawingShare)
    .option('--drawing-steps <n>', "denoising steps of a drawing; else the model's default", wholeNumber(1, 10_000))
    .option('--choices <n>', 'answers that each request asks for', wholeNumber(1, 1024), defaults.choices)
    .option('--seed <n>', 'another one makes another trace', wholeNumber(0, 2 ** 31), defaults.seed)
    .action(async (options: TraceCommandOptions) => {
      const { trace } = await import('./commands/trace.js');
      await trace({ ...options, pictureSize: options.pictureSize ?? pictureSizes }, signal);
    });

  tlsFlags(program.command('profile'))
    .description('measure the stages of a running deployment that does nothing else meanwhile, for tessera advise')
    .requiredOption('--bundle <dir>', 'the compiled model that it serves; with --no-starts its manifest is enough')
    .option('--deployment <file>', 'what `tessera up --json` printed: where the services answer')
    .option('--stage <name=grpc,metrics>', 'where a service answers, HOST:PORT twice; once for each stage', collect, [])
    .option('--out <file>', 'where the profile is written; else to stdout')
    .option(
      '--set <stage.setting=n>',
      'a setting that is taken instead of what the services tell, as encoder.jobs.slots=16',
      collect,
      [],
    )
    .option(
      '--drawing-prompt <text>',
      'a request that the model answers with a drawing',
      'Draw a red apple on a blue background.',
    )
    .option('--cores <n>', 'cores of the machine that the deployment is on; else as many as this one has', decimal)
    .option('--effort <n>', 'a share of the repetitions: 0.2 is quick, 3 is more exact', decimal, 1)
    .option('--no-starts', 'do not start a replica of each stage here to see how long that takes')
    .option('--place-seconds <n>', 'added to the starts: until a pod has a place, its image and its volume', decimal, 0)
    .option('--timeout-s <n>', 'give up after this long', wholeNumber(1, 86_400), 1800)
    .option('--json', 'what is measured, a line of JSON each, instead of words on stderr', false)
    .action(async (options: ProfileCommandOptions) => {
      const { profile } = await import('./commands/profile.js');
      await profile(options, signal);
    });

  program
    .command('advise')
    .description('how many replicas of each stage hold an objective at the least cost, and how they may scale')
    .requiredOption('--trace <file>', 'requests, as tessera trace writes them; - reads stdin')
    .requiredOption('--profile <file>', 'the stages, as tessera profile writes them')
    .requiredOption(
      '--objective <list>',
      'such as ttft_p95=1s,latency_p95=10s,token_p50=50ms,refused=1%; refused is 0.1% unless it is said',
    )
    .option('--max <stage=n>', 'the most replicas of a stage; may be given several times', collect, [])
    .option('--cost <stage=n>', 'what a replica costs in an hour; else its cores at the price of a core', collect, [])
    .option('--cost-core-hour <n>', 'what a core costs in an hour', decimal)
    .option(
      '--machine-cores <n>',
      'the largest machine that could have all stages; 0 looks at none',
      wholeNumber(0, 4096),
      64,
    )
    .option('--replicas <stage=n>', 'do not search: say what these replicas do; once for each stage', collect, [])
    .option('--no-scaling', 'fixed replicas only')
    .option('--values <file>', "where the charts' values are written, as YAML")
    .option('--max-requests <n>', 'a longer trace is refused', wholeNumber(1, maxRequests), 10_000_000)
    .option('--seed <n>', 'of what is left to chance in the simulation', wholeNumber(0, 2 ** 31), 1)
    .option('--json', 'as JSON', false)
    .action(async (options: AdviseCommandOptions) => {
      const { advise } = await import('./commands/advise.js');
      await advise(options, signal);
    });
}

function lengthsOf(text: string, most: number): Lengths {
  const [, median, sigma] = /^(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?$/.exec(text) ?? [];
  if (median === undefined)
    throw new InvalidArgumentError('Say it as 200,0.8: the median and the sigma of the logarithm.');
  return { median: Number(median), sigma: Number(sigma ?? 0), most: Math.max(most, Number(median)) };
}

function pictureSize(text: string, earlier: readonly PictureSize[] = []): PictureSize[] {
  const [, width = 0, height = 0] = /^(\d{1,6})x(\d{1,6})$/.exec(text) ?? [];
  if (Number(width) < 1 || Number(height) < 1) throw new InvalidArgumentError('Say it as 1024x768, in pixels.');
  return [...earlier, { width: Number(width), height: Number(height) }];
}
