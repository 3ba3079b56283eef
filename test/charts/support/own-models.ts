import type { IScaledObject as IOldScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';

type IPodTemplate = NonNullable<IDeployment['spec']>['template'];
type IObjectMeta = NonNullable<IDeployment['metadata']>;
type OldSpec = IOldScaledObject['spec'];

/** Kinds that the packages have no types for, or older ones, as far as the charts render them. */

/** With what KEDA took up since its types were made (2.18). */
export type IScaledObject = Omit<IOldScaledObject, 'spec'> & {
  spec: Omit<OldSpec, 'fallback'> & {
    fallback?: OldSpec['fallback'] & {
      behavior?: 'static' | 'currentReplicas' | 'currentReplicasIfHigher' | 'currentReplicasIfLower';
    };
  };
};

/** Of Kubernetes 1.34. */
export interface IResourceClaimTemplate {
  apiVersion: 'resource.k8s.io/v1';
  kind: 'ResourceClaimTemplate';
  metadata: IObjectMeta;
  spec: {
    metadata?: IObjectMeta;
    spec: {
      devices: {
        requests: {
          name: string;
          exactly: {
            deviceClassName: string;
            allocationMode?: 'ExactCount' | 'All';
            count?: number;
            selectors?: { cel: { expression: string } }[];
          };
        }[];
      };
    };
  };
}

/** Of LeaderWorkerSet 0.8. */
export interface ILeaderWorkerSet {
  apiVersion: 'leaderworkerset.x-k8s.io/v1';
  kind: 'LeaderWorkerSet';
  metadata: IObjectMeta;
  spec: {
    replicas?: number;
    startupPolicy?: 'LeaderCreated' | 'LeaderReady';
    rolloutStrategy?: {
      type: 'RollingUpdate';
      rollingUpdateConfiguration?: {
        partition?: number;
        maxUnavailable?: number | string;
        maxSurge?: number | string;
      };
    };
    networkConfig?: { subdomainPolicy?: 'Shared' | 'UniquePerReplica' };
    leaderWorkerTemplate: {
      size?: number;
      restartPolicy?: 'RecreateGroupOnPodRestart' | 'None';
      leaderTemplate?: IPodTemplate;
      workerTemplate: IPodTemplate;
    };
  };
}
