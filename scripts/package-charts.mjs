// Packages the charts as they are published: one archive each, with all that it depends on. Of the umbrella's optional
// dependencies (annotation tessera/optional-dependencies) none is in a checkout, which so needs no network. --help says more.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parse, stringify } from 'yaml';
import { chartNames, helm } from './render-charts.mjs';

const charts = resolve(import.meta.dirname, '../deploy/charts');
const annotation = 'tessera/optional-dependencies';
const help = `Usage: npm run charts -- [options]

  --out DIR              where the archives are written; out/charts by default
  --version V            of all charts, and of the images that they name by default; what Chart.yaml says by default
  --with-nats            fetches the official chart of NATS into the umbrella
  --nats-repository URL  of that chart: https://, oci://, or file:// and a folder that is packaged as it is
  --help                 this
`;

/** Side by side, as in the checkout: their links to each other hold. */
async function packageCharts(work, { out, version, 'with-nats': withNats, 'nats-repository': repository }) {
  cpSync(charts, work, { recursive: true, verbatimSymlinks: true });
  if (version !== undefined) for (const name of ['library', ...chartNames()]) setVersion(join(work, name), version);
  if (withNats) await addNats(join(work, 'tessera'), repository);
  mkdirSync(out, { recursive: true });
  for (const name of chartNames()) await run('package', join(work, name), '--destination', out);
}

/** Of the chart, of the charts beside it that it names, and of the images that it names by default. */
function setVersion(folder, version) {
  edit(folder, (chart) => {
    chart.version = version;
    chart.appVersion = version;
    for (const each of chart.dependencies ?? []) if (each.repository.startsWith('file://')) each.version = version;
  });
}

/** The dependency as the annotation has it, and its archive beside the other charts. A folder is packaged as it is. */
async function addNats(umbrella, mirror) {
  const into = join(umbrella, 'charts');
  const { annotations } = parse(readFileSync(join(umbrella, 'Chart.yaml'), 'utf8'));
  const nats = parse(annotations[annotation]).find(({ name }) => name === 'nats');
  const repository = mirror ?? nats.repository;
  const folder = /^file:\/\/(.*)$/.exec(repository)?.[1];
  if (folder !== undefined) await run('package', folder, '--destination', into);
  else {
    const from = repository.startsWith('oci://') ? [`${repository}/nats`] : ['nats', '--repo', repository];
    await run('pull', ...from, '--version', nats.version, '--destination', into);
  }
  const found = readdirSync(into).filter((file) => file === `nats-${nats.version}.tgz`);
  if (found.length !== 1) throw new Error(`${repository} has no chart of NATS of version ${nats.version}`);
  edit(umbrella, (chart) => {
    delete chart.annotations[annotation];
    chart.dependencies.push({ ...nats, repository: folder === undefined ? repository : '' });
  });
}

function edit(folder, change) {
  const path = join(folder, 'Chart.yaml');
  const chart = parse(readFileSync(path, 'utf8'));
  change(chart);
  writeFileSync(path, stringify(chart, { lineWidth: 0 }));
}

async function run(...args) {
  const { status, stdout, stderr } = await helm(...args);
  const said = stderr.split('\n').filter((line) => line !== '' && !line.includes('found symbolic link'));
  if (status !== 0) throw new Error(`helm ${args[0]} failed: ${said.join('\n')}`);
  for (const line of stdout.split('\n').filter((each) => each !== '')) console.log(line);
}

async function main() {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: 'out/charts' },
      version: { type: 'string' },
      'with-nats': { type: 'boolean', default: false },
      'nats-repository': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  const work = mkdtempSync(join(tmpdir(), 'tessera-charts-'));
  try {
    await packageCharts(work, { ...values, out: resolve(values.out) });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? 2 : 1;
}
