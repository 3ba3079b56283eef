import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { access, constants, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultStreamLimits, TesseraError, totalStreamBytes } from '@tessera/protocol';
import { portTrouble, steadyPort } from '@tessera/service';

export interface NatsServerOptions {
  /** The program; by default `nats-server` of PATH or Debian's /usr/sbin. */
  readonly binary?: string;
  /** Where JetStream keeps its files; by default a temporary folder that is removed at the end. */
  readonly storeDir?: string;
  /** The client port; 0 for any free one, to which a successor of this server can come back. */
  readonly port?: number;
  /** More lines of its configuration, such as users and TLS. */
  readonly configuration?: string;
  /** Told each line that the server logs. */
  readonly log?: (line: string) => void;
}

export interface NatsServer {
  /** nats://127.0.0.1:PORT */
  readonly url: string;
  readonly pid: number;
  /** Resolves when the process has ended, by whatever cause. */
  readonly exited: Promise<void>;
  /** Has the server outlive that process, too, in case this one is killed: it still needs the server for its drain. */
  keepFor(pid: number): void;
  /** Ends the process and removes its files. */
  stop(): Promise<void>;
}

const readyMs = 15_000;
const stopMs = 5000;
const portTries = 5;
const maxPayloadBytes = 1024 * 1024;

/** From the built files, also where this module runs from its source. */
const guardProgram = fileURLToPath(new URL('../dist/server-guard-main.js', import.meta.url));

/**
 * Starts a NATS server with JetStream on loopback and waits until it takes clients. Its memory limit holds all streams
 * of one deployment with room for a second one. It does not outlive this process, even if that is killed.
 * @throws TesseraError CONFIG_INVALID when there is no nats-server or the port is taken; STAGE_UNAVAILABLE when it does
 * not come up
 */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  if (options.port !== undefined && options.port !== 0) return await startOnPort(options, options.port);
  for (let attempt = 1; ; attempt++) {
    const port = await steadyPort();
    try {
      return await startOnPort(options, port);
    } catch (reason) {
      // Another process may have chosen the same at the same moment.
      if ((await portTrouble(port)) === undefined || attempt >= portTries) throw reason;
    }
  }
}

async function startOnPort(options: NatsServerOptions, port: number): Promise<NatsServer> {
  const binary = await findNatsServer(options.binary === undefined ? defaultPlaces() : [options.binary]);
  const dir = await mkdtemp(join(tmpdir(), 'tessera-nats-'));
  let child: ChildProcess | undefined;
  let guard: Guard | undefined;
  try {
    const config = join(dir, 'nats.conf');
    await writeFile(config, configuration(dir, port, options));
    // A group of its own: Ctrl-C in a terminal must not end it before those who still need it.
    child = spawn(binary, ['--config', config], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    guard = startGuard(child.pid, dir);
    const { exited, lines } = follow(child, options.log);
    const url = await Promise.race([
      clientUrl(dir),
      exited.then(() => {
        throw endedAtOnce(binary, lines, port);
      }),
    ]);
    const started = child;
    const guarded = guard;
    void exited.then(() => guarded.tell('gone'));
    // A parent that leaves without stop() must leave neither the server nor its files behind; the guard sees to it when
    // the parent is killed.
    const killOnExit = () => {
      started.kill('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    };
    process.once('exit', killOnExit);
    return {
      url,
      pid: started.pid ?? 0,
      exited,
      keepFor: (pid) => guarded.tell(`after ${pid}`),
      stop: async () => {
        await end(started, exited);
        process.off('exit', killOnExit);
        await rm(dir, { recursive: true, force: true });
        guarded.tell('done');
      },
    };
  } catch (reason) {
    child?.kill('SIGKILL');
    await rm(dir, { recursive: true, force: true });
    guard?.tell('done');
    throw reason;
  }
}

interface Guard {
  tell(line: string): void;
}

/** Starts the process that ends the server when this one was killed. */
function startGuard(serverPid: number | undefined, dir: string): Guard {
  if (serverPid === undefined) return { tell: () => undefined };
  const guard = spawn(process.execPath, [guardProgram, String(serverPid), dir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Nothing is lost with the guard but what it guards against.
  guard.on('error', () => undefined);
  guard.stdin?.on('error', () => undefined);
  // It must not keep this process from ending.
  guard.unref();
  (guard.stdin as unknown as { unref?(): void } | null)?.unref?.();
  return { tell: (line) => guard.stdin?.write(`${line}\n`) };
}

function endedAtOnce(binary: string, lines: readonly string[], port: number): TesseraError {
  const said = lines.slice(-5).join(' ');
  if (/address already in use/i.test(said)) {
    return new TesseraError(
      'CONFIG_INVALID',
      `NATS cannot listen on port ${port} of 127.0.0.1: another program has it; end that one, or choose another port`,
    );
  }
  return new TesseraError('STAGE_UNAVAILABLE', `${binary} ended at once: ${said}`);
}

function configuration(dir: string, port: number, options: NatsServerOptions): string {
  const { storeDir = join(dir, 'store'), configuration: more = '' } = options;
  const maxMemoryBytes = 2 * totalStreamBytes(defaultStreamLimits);
  return [
    'host: "127.0.0.1"',
    `port: ${port}`,
    // Written once it listens.
    `ports_file_dir: ${JSON.stringify(dir)}`,
    `max_payload: ${maxPayloadBytes}`,
    'jetstream {',
    `  store_dir: ${JSON.stringify(storeDir)}`,
    `  max_memory_store: ${maxMemoryBytes}`,
    '}',
    more,
    '',
  ].join('\n');
}

/** PATH, and where Debian puts the program, which is not on every user's PATH. */
function defaultPlaces(): string[] {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/bin'];
  const name = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server';
  return folders.filter((folder) => folder !== '').map((folder) => join(folder, name));
}

/**
 * The first of the paths that can be run.
 * @throws TesseraError CONFIG_INVALID that says how to install it
 */
export async function findNatsServer(paths: readonly string[] = defaultPlaces()): Promise<string> {
  for (const path of paths) {
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  const where = paths.length === 1 ? `${paths[0]} cannot be run` : 'nats-server was not found on PATH';
  throw new TesseraError(
    'CONFIG_INVALID',
    `${where}; on Debian or Ubuntu install it with: apt-get install nats-server; elsewhere take version 2.9 or later from https://nats.io/download and put it on PATH`,
  );
}

/** Collects the log, of which the last lines say why a start failed, and tells when the process ends. */
function follow(child: ChildProcess, log?: (line: string) => void): { exited: Promise<void>; lines: string[] } {
  const lines: string[] = [];
  let rest = '';
  child.stderr?.setEncoding('utf8');
  child.stderr?.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      lines.push(line);
      if (lines.length > 50) lines.shift();
      log?.(line);
    }
  });
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', (error) => {
      lines.push(error.message);
      resolve();
    });
  });
  return { exited, lines };
}

/** Waits for the ports file, which the server writes once it listens. */
async function clientUrl(dir: string): Promise<string> {
  const giveUpAt = performance.now() + readyMs;
  while (performance.now() < giveUpAt) {
    const name = (await readdir(dir).catch(() => [])).find((file) => file.endsWith('.ports'));
    if (name !== undefined) {
      try {
        const { nats } = JSON.parse(await readFile(join(dir, name), 'utf8')) as { nats?: string[] };
        if (nats?.[0] !== undefined) return nats[0];
      } catch {
        // Half written: look again.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new TesseraError('STAGE_UNAVAILABLE', `nats-server did not come up within ${readyMs} ms`);
}

async function end(child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
  await exited;
  clearTimeout(timer);
}
