import { helm, type KubernetesObject, kubectl, objects } from './kubernetes.js';

/** A namespace of one test file. Dispose of it with `await using`: it goes with all that is in it. */
export class Namespace implements AsyncDisposable {
  private constructor(readonly name: string) {}

  static async create(name: string): Promise<Namespace> {
    await kubectl(['create', 'namespace', name]);
    return new Namespace(name);
  }

  kubectl(args: readonly string[], input?: string): Promise<string> {
    return kubectl(['--namespace', this.name, ...args], input);
  }

  helm(args: readonly string[], input?: string): Promise<string> {
    return helm(['--namespace', this.name, ...args], input);
  }

  objects(...args: readonly string[]): Promise<readonly KubernetesObject[]> {
    return objects('--namespace', this.name, ...args);
  }

  /** The pods that are not on their way out. */
  async pods(selector = ''): Promise<readonly KubernetesObject[]> {
    const pods = await this.objects('pods', `--selector=${selector}`);
    return pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  apply(manifest: object | string): Promise<string> {
    return this.kubectl(['apply', '-f', '-'], typeof manifest === 'string' ? manifest : JSON.stringify(manifest));
  }

  /** Every object of it, of whatever kind, that is not there in any namespace: what an uninstalled chart must not leave. */
  async leftovers(): Promise<string[]> {
    const kinds = (await kubectl(['api-resources', '--namespaced', '--verbs=list,delete', '--output=name']))
      .split('\n')
      // Events tell what was; those of leases and endpoints follow their owners.
      .filter((kind) => kind !== '' && !/^events|^endpoints$|metrics/.test(kind));
    const found = await this.kubectl(['get', kinds.join(','), '--ignore-not-found', '--output=name']);
    return found
      .split('\n')
      .filter((name) => name !== '' && !['serviceaccount/default', 'configmap/kube-root-ca.crt'].includes(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await kubectl(['delete', 'namespace', this.name, '--timeout=300s']);
  }
}
