// Renders the charts with the values of deploy/examples, into deploy/rendered: a change of a chart shows in the diff what it
// changes in a cluster. With --check it writes nothing and fails when one of them is out of date.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { kubernetesTool } from './kubernetes-tools.mjs';

const root = resolve(import.meta.dirname, '..');
const charts = join(root, 'deploy/charts');
const examples = join(root, 'deploy/examples');
const rendered = join(root, 'deploy/rendered');

/** Where the examples are installed: `helm install RELEASE deploy/charts/CHART --namespace NAMESPACE`. */
export const release = 'tessera';
export const namespace = 'tessera';

/** The charts that can be installed: all but the library. */
export function chartNames() {
  return readdirSync(charts).filter((name) => name !== 'library' && existsSync(join(charts, name, 'Chart.yaml')));
}

/**
 * The values files of a folder. The name of each begins with the chart's, and a dash: encoder-keda.yaml is for the encoder's.
 * @returns {{ name: string, chart: string, values: string }[]} paths from the repository's root
 */
export function chartCases(folder) {
  const known = chartNames();
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => {
      const chart = known.find((name) => file.startsWith(`${name}-`));
      if (chart === undefined)
        throw new Error(`${join(folder, file)} begins with the name of no chart (${known.join(', ')})`);
      return {
        name: file.slice(0, -'.yaml'.length),
        chart: `deploy/charts/${chart}`,
        values: relative(root, join(folder, file)),
      };
    });
}

/** Runs helm at the repository's root. @returns {Promise<{ status: number, stdout: string, stderr: string }>} */
export async function helm(...args) {
  // It says at each call that the charts are linked to each other.
  const lines = (text) => text.replaceAll(/^level=INFO .*\n/gm, '');
  try {
    const options = { cwd: root, maxBuffer: 64 * 1024 * 1024 };
    const { stdout, stderr } = await promisify(execFile)(await kubernetesTool('helm'), args, options);
    return { status: 0, stdout, stderr: lines(stderr) };
  } catch (error) {
    if (typeof error.code !== 'number') throw error;
    return { status: error.code, stdout: error.stdout, stderr: lines(error.stderr) };
  }
}

/** The arguments by which a case is rendered, as they would stand behind `helm`. */
function templateArguments({ chart, values }, name = release) {
  return ['template', name, chart, '--namespace', namespace, '--values', values];
}

/** The manifests of a case as text. @param name of the release, if another @throws Error with helm's own words */
export async function renderCase(each, name) {
  const args = templateArguments(each, name);
  const { status, stdout, stderr } = await helm(...args);
  if (status !== 0) throw new Error(`helm ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function main(check) {
  const cases = chartCases(examples);
  mkdirSync(rendered, { recursive: true });
  let stale = 0;
  for (const file of readdirSync(rendered).filter((file) => !cases.some(({ name }) => file === `${name}.yaml`))) {
    stale++;
    if (!check) rmSync(join(rendered, file));
    console.error(`deploy/rendered/${file} ${check ? "is of no example; run 'npm run docs'" : 'removed'}`);
  }
  for (const each of cases) {
    const path = join(rendered, `${each.name}.yaml`);
    const command = `helm ${templateArguments(each).join(' ')}`;
    const text = `# Made by scripts/render-charts.mjs; do not edit:\n# ${command}\n${await renderCase(each)}`;
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    stale++;
    if (!check) writeFileSync(path, text);
    console.error(`deploy/rendered/${each.name}.yaml ${check ? "is out of date; run 'npm run docs'" : 'written'}`);
  }
  return check && stale > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = await main(process.argv.includes('--check'));
}
