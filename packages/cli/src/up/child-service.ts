import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { TesseraError } from '@tessera/protocol';

export interface ServiceReady {
  readonly grpc: string;
  readonly metrics: string;
  readonly pid: number;
}

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
  ) {}

  /**
   * Starts the process and waits until it says that it is ready.
   * @throws TesseraError STAGE_UNAVAILABLE when it ends first, with its last log lines
   */
  async start(): Promise<ServiceReady> {
    const child = spawn(process.execPath, [this.mainPath, ...this.flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    this.exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? (signal ? 128 : 1))));
    const tail: string[] = [];
    return await new Promise<ServiceReady>((resolve, reject) => {
      const onLine = (line: string): void => {
        tail.push(line);
        if (tail.length > 20) tail.shift();
        this.onLog(this.name, line);
        const ready = parseReady(line);
        if (ready !== undefined) resolve(ready);
      };
      if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', onLine);
      if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', onLine);
      child.once('error', reject);
      void this.exited.then((code) =>
        reject(
          new TesseraError(
            'STAGE_UNAVAILABLE',
            `${this.name} ended with status ${code} before it was ready:\n${tail.join('\n')}`,
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
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
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

function parseReady(line: string): ServiceReady | undefined {
  if (!line.includes('"event":"ready"')) return undefined;
  const { grpc, metrics, pid } = JSON.parse(line) as ServiceReady;
  return { grpc, metrics, pid };
}
