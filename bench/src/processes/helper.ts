import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a helper process can be asked to do. Arguments and results cross as structured clones. */
export type Calls = { readonly [name: string]: (argument: never) => Promise<unknown> };

export interface Question {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

export type Reply = { readonly id: number } & ({ readonly result: unknown } | { readonly error: string });

interface Waiting {
  resolve(result: unknown): void;
  reject(reason: Error): void;
}

/** A process of the bench beside this one: its programs are the `*-main.ts` of this folder. It ends with its owner. */
export class Helper<C extends Calls> implements Disposable {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 0;
  private disposed = false;

  /** @param program the name of its file in this folder, without `-main.js` */
  constructor(private readonly program: string) {
    const path = fileURLToPath(new URL(`./${program}-main.js`, import.meta.url));
    this.child = fork(path, { serialization: 'advanced' });
    this.child.on('message', (reply: Reply) => this.hear(reply));
    this.child.on('exit', (status, signal) => this.ended(`the process ${program} ended (${signal ?? status})`));
    this.child.on('error', (reason) => this.ended(reason.message));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async call<K extends keyof C & string>(name: K, ...[argument]: Parameters<C[K]>): Promise<Awaited<ReturnType<C[K]>>> {
    const id = this.nextId++;
    const answer = new Promise<unknown>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.child.send({ id, name, argument } satisfies Question);
    return (await answer) as Awaited<ReturnType<C[K]>>;
  }

  [Symbol.dispose](): void {
    this.disposed = true;
    this.child.kill('SIGKILL');
  }

  private hear(reply: Reply): void {
    const waiting = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if ('error' in reply) waiting?.reject(new Error(`${this.program}: ${reply.error}`));
    else waiting?.resolve(reply.result);
  }

  private ended(why: string): void {
    for (const { reject } of this.waiting.values()) reject(new Error(why));
    this.waiting.clear();
    if (!this.disposed) process.stderr.write(`${why}\n`);
  }
}
