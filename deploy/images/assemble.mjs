// Puts together all that one image runs, and nothing else:
//   node deploy/images/assemble.mjs encoder|connector|llm|generator|gateway|tools FOLDER [--json]
// from the packages that are installed and built around it: the built files of the service and of the workspaces that it
// needs, and the packages that those depend on in production, each where Node finds it. It asks no registry.
// With SOURCE_DATE_EPOCH every file gets that time, so that the same sources give the same bytes.
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const services = ['encoder', 'connector', 'llm', 'generator', 'gateway'];

/** What each image runs. */
const targets = {
  ...Object.fromEntries(services.map((name) => [name, { workspace: `services/${name}`, without: [] }])),
  // `tessera up` starts the services from their own folders; in a cluster their images do that.
  tools: { workspace: 'packages/cli', without: services.map((name) => `@tessera/${name}`) },
};

/** Of packages that bring what is not needed where they run: dependencies, and folders. */
const unneeded = {
  // Its install script's own, which fetch CUDA's files when an image for GPUs is built.
  'onnxruntime-node': { dependencies: ['adm-zip', 'global-agent'], keep: keepsOnnxRuntime },
  // Sources in C++; the library comes from a package of this platform.
  koffi: { keep: (path) => !/^(lib|vendor)(\/|$)/.test(path) },
  [`@koromix/koffi-linux-${process.arch}`]: { keep: (path) => !path.startsWith('musl_') },
};

/** Folders that packages are made and tried with. */
const isForMakers = /^(tests?|benchmarks?|examples?|docs?)(\/|$)/;

const [name, out] = process.argv.slice(2);
const target = targets[name];
if (target === undefined || out === undefined || out.startsWith('-')) {
  console.error(`Usage: node deploy/images/assemble.mjs ${Object.keys(targets).join('|')} FOLDER [--json]`);
  process.exit(2);
}
const into = resolve(out);
if (existsSync(into) && readdirSync(into).length > 0) {
  console.error(`${into} is not empty; name a folder that is, or none yet`);
  process.exit(2);
}

const folders = closure(join(root, target.workspace), target.without);
const packages = [];
for (const folder of folders) {
  const { name: packageName, version, license } = packageFile(folder);
  const place = relative(root, folder);
  const isOurs = !place.includes('node_modules');
  if (isOurs) copyWorkspace(folder, place, packageName);
  else copyPackage(folder, place, packageName);
  packages.push({ name: packageName, version, license, place, isOurs });
}
cpSync(join(root, 'LICENSE'), join(into, 'LICENSE'));
writeFileSync(join(into, 'sbom.cdx.json'), `${JSON.stringify(billOfMaterials(), null, 1)}\n`);
const epoch = process.env.SOURCE_DATE_EPOCH;
level(into, epoch === undefined ? undefined : Number(epoch));

const bytes = bytesOf(into);
if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ target: name, main: `${target.workspace}/dist/main.js`, bytes, packages }, null, 2));
} else {
  console.log(`${name}: ${packages.length} packages, ${(bytes / 1e6).toFixed(1)} MB, in ${into}`);
}

/** What is in the tree, in the form of CycloneDX; without a time or a serial number, so that it is the same each time. */
function billOfMaterials() {
  const version = packageFile(root).version;
  const component = ({ name: packageName, version: of, license }) => {
    const purl = `pkg:npm/${packageName.replace('@', '%40')}@${of}`;
    const text = typeof license === 'string' ? license : license?.type;
    const known =
      text === undefined ? {} : { licenses: [/\s/.test(text) ? { expression: text } : { license: { id: text } }] };
    return { type: 'library', 'bom-ref': purl, name: packageName, version: of, purl, ...known };
  };
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { type: 'application', name: `tessera-${name}`, version } },
    // A package may lie in two places.
    components: [...new Map(packages.map(component).map((each) => [each.purl, each])).values()],
  };
}

/** The folders of a workspace and of all that it needs in production. */
function closure(workspace, without) {
  const found = new Set();
  const open = [workspace];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    if (found.has(folder)) continue;
    found.add(folder);
    const { name: packageName, dependencies = {}, optionalDependencies = {} } = packageFile(folder);
    const dropped = [...(folder === workspace ? without : []), ...(unneeded[packageName]?.dependencies ?? [])];
    for (const needed of Object.keys({ ...dependencies, ...optionalDependencies })) {
      if (dropped.includes(needed)) continue;
      const at = find(needed, folder);
      if (at !== undefined) open.push(at);
      else if (!(needed in optionalDependencies)) {
        console.error(`${needed}, which ${packageName} needs, is not installed; run npm ci first`);
        process.exit(1);
      }
    }
  }
  return [...found].sort();
}

/** Where Node finds a package from a folder; undefined where it is not installed, as one of another platform is. */
function find(packageName, from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', packageName);
    if (existsSync(join(candidate, 'package.json'))) return realpathSync(candidate);
    if (folder === root || folder === dirname(folder)) return undefined;
  }
}

function packageFile(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

/** What was built, without what is for tests. */
function copyWorkspace(folder, place, packageName) {
  if (!existsSync(join(folder, 'dist'))) {
    console.error(`${place} is not built; run npm run build first`);
    process.exit(1);
  }
  for (const part of ['package.json', 'dist', 'generated']) {
    if (!existsSync(join(folder, part))) continue;
    cpSync(join(folder, part), join(into, place, part), {
      recursive: true,
      filter: (path) => !isForReaders(path) && !/\.test\.js$|\.tsbuildinfo$/.test(path) && basename(path) !== 'testing',
    });
  }
  const link = join(into, 'node_modules', packageName);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(relative(dirname(link), join(into, place)), link);
}

function copyPackage(folder, place, packageName) {
  const keep = unneeded[packageName]?.keep ?? (() => true);
  cpSync(folder, join(into, place), {
    recursive: true,
    filter: (path) => {
      const inside = relative(folder, path);
      // Packages that lie in it are found, or not, on their own.
      if (inside === '') return true;
      return basename(path) !== 'node_modules' && !isForReaders(path) && !isForMakers.test(inside) && keep(inside);
    },
  });
}

/** Types, source maps and texts but licences: nothing that runs. */
function isForReaders(path) {
  return /\.(map|[cm]?ts|md|markdown|flow)$/i.test(path) && !/licen[cs]e|notice|copying/i.test(basename(path));
}

/** The library of this platform alone; what it needs for CUDA lies beside it where it was fetched, TensorRT is not used. */
function keepsOnnxRuntime(path) {
  if (/^script(\/|$)|providers_tensorrt/.test(path)) return false;
  const [, os, arch] = /^bin\/[^/]+\/([^/]+)(?:\/([^/]+))?/.exec(path) ?? [];
  return (os ?? process.platform) === process.platform && (arch ?? process.arch) === process.arch;
}

/** Whoever runs it may read it, and not write, whatever the umask was where it was checked out; and its time is the given one. */
function level(path, seconds) {
  const found = lstatSync(path);
  if (found.isDirectory()) for (const each of readdirSync(path)) level(join(path, each), seconds);
  if (!found.isSymbolicLink()) chmodSync(path, found.isDirectory() || (found.mode & 0o100) !== 0 ? 0o755 : 0o644);
  if (seconds !== undefined) lutimesSync(path, seconds, seconds);
}

function bytesOf(path) {
  const found = lstatSync(path);
  if (!found.isDirectory()) return found.size;
  return readdirSync(path).reduce((sum, each) => sum + bytesOf(join(path, each)), 0);
}
