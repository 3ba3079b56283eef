import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs a program to its end. @throws with what it wrote, when its status is not 0 */
async function output(program: string, args: readonly string[], input?: string): Promise<string> {
  const running = run(program, args, { maxBuffer: 64 * 1024 * 1024 });
  // Whoever reads none of it closes the pipe; what it says of that is in its own output.
  running.child.stdin?.on('error', () => undefined).end(input);
  try {
    return (await running).stdout;
  } catch (reason) {
    const { stdout = '', stderr = '' } = reason as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(' ')}\n${stderr}${stdout}`, { cause: reason });
  }
}

/** @param input its standard input, where it reads one (`-f -`) */
export function kubectl(args: readonly string[], input?: string): Promise<string> {
  return output('kubectl', args, input);
}

export function helm(args: readonly string[], input?: string): Promise<string> {
  return output('helm', args, input);
}

/** What the tests read of any object. */
export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec?: {
    readonly replicas?: number;
    readonly nodeName?: string;
    readonly template?: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } };
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly readyReplicas?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

interface ContainerStatus {
  readonly containerID?: string;
  readonly restartCount: number;
  readonly state?: ContainerState;
  /** Of the one before. */
  readonly lastState?: ContainerState;
}

interface ContainerState {
  readonly terminated?: { readonly reason?: string; readonly message?: string };
}

/** The objects that `kubectl get` finds. */
export async function objects(...args: readonly string[]): Promise<readonly KubernetesObject[]> {
  const found = JSON.parse(await kubectl(['get', ...args, '--ignore-not-found', '--output=json'])) as {
    readonly items: readonly KubernetesObject[];
  };
  return found.items;
}

export function isReady(object: KubernetesObject): boolean {
  return object.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}
