import type { IDeploymentSpec } from 'kubernetes-models/apps/v1/DeploymentSpec';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec';

export type LabelSelector = IDeploymentSpec['selector'];

/** One object as a chart renders it. What a check looks at more closely, it reads with the type of its kind. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
}

/** All that one `helm install` makes. */
export interface Release {
  readonly name: string;
  readonly namespace: string;
  readonly manifests: readonly Manifest[];
  /** Those that were given; what a manifest names and does not hold must stand in them. */
  readonly values: unknown;
}

/** Looks at a release and says what is wrong, one sentence each; an empty list if nothing is. */
export type Check = (release: Release) => string[];

export type Labels = Readonly<Record<string, string>>;

/** What runs pods. */
export interface Workload {
  readonly manifest: Manifest;
  readonly kind: string;
  readonly name: string;
  readonly template: IPodTemplateSpec;
  readonly labels: Labels;
  /** Absent where an autoscaler decides, or the kind has none. */
  readonly replicas: number | undefined;
  readonly selector: LabelSelector | undefined;
}

interface WorkloadSpec {
  readonly replicas?: number;
  readonly selector?: LabelSelector;
  readonly template?: IPodTemplateSpec;
  readonly leaderWorkerTemplate?: { leaderTemplate?: IPodTemplateSpec; workerTemplate?: IPodTemplateSpec };
}

/** `Deployment tessera-encoder`, for messages. */
export function named({ kind, metadata }: Manifest): string {
  return `${kind} ${metadata.name}`;
}

/** @typeParam Kind the interface of what is looked for, such as IService */
export function ofKind<Kind>({ manifests }: Release, kind: string): (Kind & Manifest)[] {
  return manifests.filter((each) => each.kind === kind) as (Kind & Manifest)[];
}

/** Deployments, StatefulSets, Jobs and the two templates of LeaderWorkerSets. */
export function workloads({ manifests }: Release): Workload[] {
  return manifests.flatMap((manifest) => {
    const spec = (manifest.spec ?? {}) as WorkloadSpec;
    const { leaderTemplate, workerTemplate } = spec.leaderWorkerTemplate ?? {};
    const templates = [spec.template, leaderTemplate, workerTemplate].filter((each) => each?.spec !== undefined);
    return templates.map((template) => ({
      manifest,
      kind: manifest.kind,
      name: manifest.metadata.name,
      template: template as IPodTemplateSpec,
      labels: template?.metadata?.labels ?? {},
      replicas: spec.replicas,
      selector: spec.selector,
    }));
  });
}

/** Workloads whose pods stay, as against Jobs, whose pods end. */
export function lasting(release: Release): Workload[] {
  return workloads(release).filter(({ kind }) => kind !== 'Job');
}

export interface PlacedContainer {
  readonly workload: Workload;
  readonly container: IContainer;
  readonly init: boolean;
  /** `Deployment tessera-encoder, container encoder`, for messages. */
  readonly where: string;
}

export function containers(release: Release): PlacedContainer[] {
  return workloads(release).flatMap((workload) => {
    const { containers = [], initContainers = [] } = workload.template.spec ?? {};
    const place = (container: IContainer, init: boolean): PlacedContainer => ({
      workload,
      container,
      init,
      where: `${named(workload.manifest)}, container ${container.name}`,
    });
    return [...initContainers.map((each) => place(each, true)), ...containers.map((each) => place(each, false))];
  });
}

/** Whether a label selector takes these labels; an empty one takes all, an absent one none. */
export function selects(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (selector === undefined) return false;
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      if (operator === 'In') return value !== undefined && values.includes(value);
      if (operator === 'NotIn') return value === undefined || !values.includes(value);
      throw new Error(`a selector has the operator '${operator}', which Kubernetes does not know`);
    })
  );
}

/** Whether a name stands anywhere in the values that were given: then it is the user's own, and need not be rendered. */
export function isGiven(values: unknown, name: string): boolean {
  if (typeof values === 'string') return values === name;
  if (values === null || typeof values !== 'object') return false;
  return Object.values(values).some((each) => isGiven(each, name));
}
