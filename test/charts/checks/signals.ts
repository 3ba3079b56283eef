import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { queues, Subjects } from '@tessera/protocol';
import { declaredMetrics } from '@tessera/service';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { type Check, isGiven, named, ofKind } from '../support/manifest.js';
import { readable, serviceContainers } from '../support/service-settings.js';

/** KEDA reads the queue that its target works off: the service's own name for it, of the revision that the values say. */
export const queuesAreTheTargets: Check = (release) =>
  ofKind<IScaledObject>(release, 'ScaledObject').flatMap((scaled) => {
    const target = serviceContainers(release).find(({ workload }) => workload.name === scaled.spec.scaleTargetRef.name);
    return scaled.spec.triggers.flatMap(({ type, metadata: { stream = '', consumer = '' } }) => {
      if (type !== 'nats-jetstream' || target === undefined) return [];
      const prefix = String(readable(target)['nats.prefix']);
      const queue = queues.find(({ worker }) => worker === target.service);
      if (queue === undefined) return [`${named(scaled)} scales ${target.service} by a queue, and it works off none`];
      const revision = new Subjects(prefix, 'x').revisionOfQueue(stream) ?? '';
      const subjects = new Subjects(prefix, revision === '' ? 'none' : revision);
      if (subjects.queue(queue) !== stream)
        return [`${named(scaled)} reads the stream ${stream}, which is not ${target.service}'s`];
      if (!isGiven(release.values, revision))
        return [`${named(scaled)} reads the queue of revision ${revision}, which no value says`];
      return consumer === subjects.workers
        ? []
        : [`${named(scaled)} reads the consumer '${consumer}', not ${subjects.workers}`];
    });
  });

/** Metrics that are scaled on are some that the services have; an adapter makes rates of counters, by another ending. */
export const metricsAreDeclared: Check = (release) => {
  const declared = new Set(declaredMetrics().map(({ name }) => name));
  const unknown = (text: string): string[] =>
    (text.match(/\btessera_\w+/g) ?? []).filter(
      (name) =>
        !declared.has(name) &&
        !declared.has(name.replace(/_per_second$/, '_total')) &&
        !declared.has(name.replace(/_(bucket|sum|count)$/, '')),
    );
  const asked = [
    ...ofKind<IScaledObject>(release, 'ScaledObject').map(
      (each) => [each, each.spec.triggers.map(({ metadata }) => metadata.query ?? '')] as const,
    ),
    ...ofKind<IHorizontalPodAutoscaler>(release, 'HorizontalPodAutoscaler').map(
      (each) =>
        [
          each,
          (each.spec?.metrics ?? []).map(({ pods, external }) => pods?.metric.name ?? external?.metric.name ?? ''),
        ] as const,
    ),
  ];
  return asked.flatMap(([each, texts]) =>
    texts.flatMap(unknown).map((name) => `${named(each)} scales on ${name}, which no service has`),
  );
};
