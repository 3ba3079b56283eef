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
  /** How the model's LLM is cut besides: each cut is a revision of its own, and all answer alike. */
  readonly cut?: Cut;
  /** Of the umbrella, over those that a cluster of this size needs. */
  readonly values?: Values;
  /** Cuts of the model that releases beside this one serve: whoever is a user of NATS is allowed their revisions, too. */
  readonly laterCuts?: readonly Cut[];
}

/** What the demo model needs: the charts ask for more, and the nodes are all this one machine. */
export const small = { requests: { cpu: '20m', memory: '64Mi' } };

/** All nodes share this machine, which may have more to do: who is late is not dead. */
const late = { timeoutSeconds: 30, failureThreshold: 30 };
export const probes = { startup: { extraSeconds: 900, timeoutSeconds: 30 }, readiness: late, liveness: late };

const firstRelease = 'tessera';

/** The umbrella chart with the demo model and NATS, of real pods, in a namespace of its own. */
export class DemoRelease implements AsyncDisposable {
  private constructor(
    readonly namespace: Namespace,
    readonly bundle: Bundle,
    private readonly name: string,
    private readonly values: Values,
    private readonly claim: AsyncDisposable,
  ) {}

  static async install(name: string, { cut, values = {}, laterCuts = [] }: DemoOptions = {}): Promise<DemoRelease> {
    await useNodes('real');
    const [bundle, ...later] = await Promise.all([cut, ...laterCuts].map(demo));
    const namespace = await Namespace.create(name);
    await installNats(
      namespace,
      [bundle as Bundle, ...later].map(({ manifest }) => manifest.revision),
    );
    return await DemoRelease.make(namespace, firstRelease, bundle as Bundle, values);
  }

  /** Another release in the same namespace and on the same NATS, of a cut that this one was told as a later one. */
  async beside(name: string, { cut, values = {} }: Omit<DemoOptions, 'laterCuts'>): Promise<DemoRelease> {
    return await DemoRelease.make(this.namespace, name, await demo(cut), values);
  }

  private static async make(namespace: Namespace, name: string, bundle: Bundle, values: Values): Promise<DemoRelease> {
    const claimName = `model-${name}`;
    const claim = await modelClaim(namespace, bundle.dir, claimName);
    const all = merge(
      {
        global: {
          // The streams' Job is whoever is not told to be somebody else.
          nats: {
            url: `nats://nats.${namespace.name}.svc:4222`,
            monitoring: { endpoint: `nats.${namespace.name}.svc:8222` },
            maxMemory: '2Gi',
            ...natsUser('streams'),
          },
          model: { revision: bundle.manifest.revision, source: { pvc: { claimName } } },
        },
        ...Object.fromEntries(stages.map((stage) => [stage, { resources: small, probes, nats: natsUser(stage) }])),
      },
      values,
    );
    const release = new DemoRelease(namespace, bundle, name, all, claim);
    try {
      await release.upgrade();
    } catch (reason) {
      throw new Error(await release.state(), { cause: reason });
    }
    return release;
  }

  /** host:port of the gateway's Service. */
  get gateway(): string {
    return `${this.name}-gateway.${this.namespace.name}.svc.cluster.local:7000`;
  }

  /** What selects its pods. */
  get selector(): string {
    return `app.kubernetes.io/instance=${this.name}`;
  }

  /** Installs it, or makes it what these values say besides, and waits until it is. */
  async upgrade(values: Values = {}): Promise<void> {
    const all = JSON.stringify(merge(this.values, values));
    const args = ['upgrade', '--install', this.name, chart('tessera'), '--values', '-'];
    await this.namespace.helm([...args, '--wait', '--timeout', '1500s'], all);
  }

  /** Uninstalls it as an operator does, and waits until its last pod has ended. */
  async uninstall(): Promise<void> {
    await this.namespace.helm(['uninstall', this.name, '--wait', '--timeout', '600s']);
    await this.namespace.kubectl(['wait', 'pods', `--selector=${this.selector}`, '--for=delete', '--timeout=600s']);
    await this.claim[Symbol.asyncDispose]();
  }

  /** The pods of a stage, or of a role of the llm, that are not on their way out. */
  pods(component: string): Promise<readonly KubernetesObject[]> {
    return this.namespace.pods(`${this.selector},app.kubernetes.io/component=${component}`);
  }

  async readyPods(component: string): Promise<readonly KubernetesObject[]> {
    return (await this.pods(component)).filter(isReady);
  }

  /** A gauge or counter, summed over the pods of a stage and its labels. */
  async metric(component: string, name: string, labels?: Readonly<Record<string, string>>): Promise<number> {
    const each = await this.metricOfEach(component, name, labels);
    return each.reduce((sum, value) => sum + value, 0);
  }

  /** The same of each pod that is ready. */
  async metricOfEach(component: string, name: string, labels?: Readonly<Record<string, string>>): Promise<number[]> {
    const pods = await this.readyPods(component);
    const texts = await Promise.all(
      pods.map(async ({ status }) => (await fetch(`http://${status?.podIP}:9090/metrics`)).text()),
    );
    return texts.map((text) => sumMetric(text, name, labels));
  }

  /** What there is to see of it, for whoever asks why something did not come to be. */
  private async state(): Promise<string> {
    const pods = await this.namespace.kubectl(['get', 'pods', '--output=wide']);
    const events = await this.namespace.kubectl(['get', 'events', '--field-selector=type!=Normal']);
    return `${pods}\n${events}`;
  }

  /** Of the first release: with its namespace, and what is in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace.helm(['uninstall', this.name, '--wait=false', '--ignore-not-found']);
    // Who drains has no work any more; only the pause before it would be waited for.
    await this.namespace.kubectl(['delete', 'pods', '--all', '--grace-period=2']);
    await this.claim[Symbol.asyncDispose]();
    if (this.name === firstRelease) await this.namespace[Symbol.asyncDispose]();
  }
}

async function demo(cut: Cut | undefined): Promise<Bundle> {
  return await readBundle(await demoBundleDir('float32', cut));
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
