import { type Command, Option } from 'commander';
import { collect, decimal, objectLabel, objectName, wholeNumber } from './arguments.js';
import { type ApplyOptions, applyExperts, diffExperts, type PlanOptions, planExperts } from './commands/place.js';
import { type CountsOptions, countRows } from './commands/place-counts.js';
import { chartsOfValues } from './place/group-values.js';

/** The commands of `tessera place`. */
export function placeCommands(place: Command, signal: AbortSignal): void {
  const bundle = ['--bundle <dir>', 'the compiled model, with its experts apart (compile --cut experts)'] as const;
  const expertBytes = ['--expert-bytes <n>', 'memory of one expert; by default that of its weights'] as const;
  place.description("plan which of a mixture's experts lie on which node");
  const plan = place
    .command('plan')
    .description('experts to nodes, with copies of hot ones, until every layer is even; writes nothing without --out')
    .requiredOption(...bundle)
    .requiredOption(
      '--nodes <nodes>',
      'such as 2x24Gi,80Gi; or JSON of name, memory, count, speed; or what `kubectl get nodes -o json` writes; ' +
        'or a file of one of these, or - for stdin',
    )
    .option(
      '--memory-share <n>',
      "of a cluster's nodes: how many per cent of a node's memory, or of its GPUs', experts may take",
      wholeNumber(1, 100),
      80,
    )
    .option(
      '--group-label <label>',
      "of a cluster's nodes: those with the same value are one group, whose shards hold the same; else each is its own",
    )
    .option('--gpu-memory <bytes>', 'of one GPU, such as 80Gi, where nodes lack the label nvidia.com/gpu.memory')
    .option(
      '--counts <file>',
      'how often the router chose each expert, as place counts writes it: {"layers": [[...], ...]}',
    )
    .option(
      '--skew <n>',
      'without --counts: the n-th expert of a layer is chosen in proportion to 1 / n^skew',
      decimal,
      1,
    )
    .option('--seed <n>', 'without --counts: which expert is the n-th', wholeNumber(0, 2 ** 31), 1)
    .option('--current <file>', 'the placement there is, or its ConfigMap, or - for stdin; what may stay stays')
    .option('--tolerance <n>', 'how many per cent longer than even a layer may take', decimal, 10)
    .option(...expertBytes, wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--out <file>', 'where the placement is written')
    .option('--values <file>', "of a cluster's nodes: where the chart's values for the groups are written")
    .addOption(
      new Option('--values-of <chart>', 'with --values: of which chart').choices(chartsOfValues).default('tessera'),
    )
    .option('--json', 'as JSON', false);
  outputOptions(plan).action((options: PlanOptions) => planExperts(options));
  place
    .command('counts')
    .description('how often running engines sent rows to each expert, for plan --counts; by their metrics')
    .requiredOption(...bundle)
    .requiredOption('--metrics <url>', "an engine's metrics, http://HOST:PORT/metrics; once for each engine", collect)
    .option('--seconds <n>', 'how long is counted; 0: all since the engines began', wholeNumber(0, 86_400), 60)
    .option('--out <file>', 'where they are written; else to stdout')
    .action((options: CountsOptions) => countRows(options, signal));
  place
    .command('diff')
    .description('what changes on which node from one placement to another')
    .argument('<before>', 'a placement, or its ConfigMap')
    .argument('<after>', 'another one')
    .requiredOption(...bundle)
    .option(...expertBytes, wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--json', 'as JSON', false)
    .action((before: string, after: string, options: { bundle: string; expertBytes?: number; json: boolean }) =>
      diffExperts(before, after, options),
    );
  const apply = place
    .command('apply')
    .description(
      'put a placement where engines and shards look for it (experts.placementFile), as a later one than what is there',
    )
    .argument('<file>', 'a placement, or its ConfigMap')
    .requiredOption(...bundle)
    .option('--to <file>', 'where it is looked for')
    .option(
      '--current <file>',
      'with --configmap: what is there, as `kubectl get configmap NAME -o yaml --ignore-not-found` writes it; - for stdin',
    );
  outputOptions(apply).action((file: string, options: ApplyOptions) => applyExperts(file, options));
}

function outputOptions(command: Command): Command {
  return command
    .option(
      '--configmap <name>',
      'write the manifest of a ConfigMap of this name, for kubectl apply --server-side; to stdout without a file',
      objectName,
    )
    .option('--namespace <name>', 'of the ConfigMap', objectName)
    .option('--label <key=value>', 'of the ConfigMap; may be given several times', objectLabel, {})
    .addOption(
      new Option('-o, --output <form>', 'of the manifest; yaml unless said otherwise').choices(['json', 'yaml']),
    );
}
