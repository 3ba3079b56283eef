import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';

const readySchema = z.object({
  event: z.literal('ready'),
  /** host:port. */
  grpc: z.string(),
  /** host:port. */
  metrics: z.string(),
  pid: z.number(),
});

/** The log line of a service that could not start. */
const failureSchema = z.object({ event: z.literal('failed'), err: z.object({ message: z.string() }) });

/** What a service says once it takes work. */
export type ServiceReady = z.infer<typeof readySchema>;

/** One service as a child process of `tessera up`. */
export class ChildService {
  private child: ChildProcess | undefined;
  private exited: Promise<number> = Promise.resolve(0);

  constructor(
    readonly name: string,
    private readonly mainPath: string,
    private readonly flags: readonly string[],
    /** Every log line that the service writes. */
    private readonly onLog: (service: string, line: string) => void,
    private readonly env: NodeJS.ProcessEnv = process.env,
  ) {}

  /**
   * Starts the process and waits until it says that it is ready.
   * @throws TesseraError STAGE_UNAVAILABLE when it ends first, with its last log lines
   */
  async start(): Promise<ServiceReady> {
    // The IPC channel brings the ready message, and its end tells the service to drain when this process was killed.
    // A group of its own: Ctrl-C in a terminal goes to the whole group, and each service is to be told in its turn.
    const child = spawn(process.execPath, [this.mainPath, ...this.flags], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
      env: this.env,
    });
    this.child = child;
    // A parent that leaves without stop() does not wait for a drain, and must not leave the service behind.
    const killOnExit = () => child.kill('SIGKILL');
    process.once('exit', killOnExit);
    child.once('exit', () => process.off('exit', killOnExit));
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve(code ?? (signal ? 128 : 1)));
      // A process that could not even be made has no exit.
      child.once('error', () => {
        if (child.pid === undefined) resolve(1);
      });
    });
    const tail: string[] = [];
    return await new Promise<ServiceReady>((resolve, reject) => {
      const onLine = (line: string): void => {
        tail.push(line);
        if (tail.length > 20) tail.shift();
        this.onLog(this.name, line);
      };
      child.on('message', (message) => {
        const ready = readySchema.safeParse(message);
        if (ready.success) resolve(ready.data);
      });
      if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', onLine);
      if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', onLine);
      child.once('error', reject);
      void this.exited.then((code) =>
        reject(
          new TesseraError(
            'STAGE_UNAVAILABLE',
            `${this.name} ended with status ${code} before it was ready${why(tail)}`,
          ),
        ),
      );
    });
  }

  /** Resolves with the exit status when the process ends. */
  get ended(): Promise<number> {
    return this.exited;
  }

  get running(): boolean {
    const { child } = this;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** SIGTERM, so that it drains; SIGKILL when it has not ended after the grace period. Returns the exit status. */
  async stop(graceMs: number): Promise<number> {
    const child = this.child;
    if (child === undefined || !this.running) return await this.exited;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The sentence of a service's last log line that has one; without such a line, all that it said at the end. */
function why(tail: readonly string[]): string {
  for (const line of tail.toReversed()) {
    const failed = failureSchema.safeParse(parsed(line));
    if (failed.success) return `: ${failed.data.err.message}`;
  }
  return tail.length === 0 ? '' : `:\n${tail.join('\n')}`;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
