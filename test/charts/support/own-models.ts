import type { IScaledObject as IOldScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';

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
