import { type Bundle, readBundle } from '@tessera/bundle';
import type { Cut } from '@tessera/compiler';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { sumMetric } from '../../support/deployment.js';
import { chart, stages } from './charts.js';
import { isReady, type KubernetesObject } from './kubernetes.js';
import { modelClaim } from './model.js';
import { Namespace } from './namespace.js';
import { installNats, natsUser } from './nats.js';
import { useNodes } from './nodes.js';

interface Values {
  readonly [key: string]: unknown;
}

export interface DemoOptions {
  /** How the model's LLM is cut besides. */
  readonly cut?: Cut;
  /** Of the umbrella, over those that a cluster of this size needs. */
  readonly values?: Values;
}

/** What the demo model needs: the charts ask for more, and the nodes are all this one machine. */
const small = { requests: { cpu: '20m', memory: '64Mi' } };

/** All nodes share this machine, which may have more to do: who is late is not dead. */
const late = { timeoutSeconds: 30, failureThreshold: 30 };
const probes = { startup: { extraSeconds: 900, timeoutSeconds: 30 }, readiness: late, liveness: late };

/** The umbrella chart with the demo model and NATS, of real pods, in a namespace of its own. */
export class DemoRelease implements AsyncDisposable {
  private constructor(
    readonly namespace: Namespace,
    readonly bundle: Bundle,
    private readonly values: Values,
    private readonly claim: AsyncDisposable,
  ) {}

  static async install(name: string, { cut, values = {} }: DemoOptions = {}): Promise<DemoRelease> {
    await useNodes('real');
    const bundle = await readBundle(await demoBundleDir('float32', cut));
    const { revision } = bundle.manifest;
    const namespace = await Namespace.create(name);
    const claim = await modelClaim(namespace, bundle.dir);
    await installNats(namespace, revision);
    const all = merge(
      {
        global: {
          // The streams' Job is whoever is not told to be somebody else.
          nats: {
            url: `nats://nats.${name}.svc:4222`,
            monitoring: { endpoint: `nats.${name}.svc:8222` },
            maxMemory: '2Gi',
            ...natsUser('streams'),
          },
          model: { revision, source: { pvc: { claimName: 'model' } } },
        },
        ...Object.fromEntries(stages.map((stage) => [stage, { resources: small, probes, nats: natsUser(stage) }])),
      },
      values,
    );
    const release = new DemoRelease(namespace, bundle, all, claim);
    try {
      await release.upgrade();
    } catch (reason) {
      throw new Error(await release.state(), { cause: reason });
    }
    return release;
  }

  /** host:port of the gateway's Service. */
  get gateway(): string {
    return `tessera-gateway.${this.namespace.name}.svc.cluster.local:7000`;
  }

  /** Installs it, or makes it what these values say besides, and waits until it is. */
  async upgrade(values: Values = {}): Promise<void> {
    const all = JSON.stringify(merge(this.values, values));
    const args = ['upgrade', '--install', 'tessera', chart('tessera'), '--values', '-'];
    await this.namespace.helm([...args, '--wait', '--timeout', '1500s'], all);
  }

  /** The pods of a stage, or of a role of the llm, that are not on their way out. */
  pods(component: string): Promise<readonly KubernetesObject[]> {
    return this.namespace.pods(`app.kubernetes.io/component=${component}`);
  }

  async readyPods(component: string): Promise<readonly KubernetesObject[]> {
    return (await this.pods(component)).filter(isReady);
  }

  /** A gauge or counter, summed over the pods of a stage and its labels. */
  async metric(component: string, name: string, labels?: Readonly<Record<string, string>>): Promise<number> {
    const pods = await this.readyPods(component);
    const texts = await Promise.all(
      pods.map(async ({ status }) => (await fetch(`http://${status?.podIP}:9090/metrics`)).text()),
    );
    return texts.reduce((sum, text) => sum + sumMetric(text, name, labels), 0);
  }

  /** What there is to see of it, for whoever asks why something did not come to be. */
  private async state(): Promise<string> {
    const pods = await this.namespace.kubectl(['get', 'pods', '--output=wide']);
    const events = await this.namespace.kubectl(['get', 'events', '--field-selector=type!=Normal']);
    return `${pods}\n${events}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace.helm(['uninstall', 'tessera', '--wait=false']);
    // Who drains has no work any more; only the pause before it would be waited for.
    await this.namespace.kubectl(['delete', 'pods', '--all', '--grace-period=2']);
    await this.claim[Symbol.asyncDispose]();
    await this.namespace[Symbol.asyncDispose]();
  }
}

/** The values of both, those of the second over those of the first, as Helm merges files. */
function merge(first: Values, second: Values): Values {
  const isMap = (value: unknown): value is Values =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const merged: Record<string, unknown> = { ...first };
  for (const [key, value] of Object.entries(second)) {
    const below = merged[key];
    merged[key] = isMap(below) && isMap(value) ? merge(below, value) : value;
  }
  return merged;
}
