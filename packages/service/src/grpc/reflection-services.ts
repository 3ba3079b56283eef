import { ServerReflectionService } from 'nice-grpc-server-reflection';

const { serverReflectionInfo } = ServerReflectionService;

/**
 * gRPC's reflection, and the same under the name that it had before it was settled, the only one that Python's client and
 * older ones of grpcurl know. The messages are the same.
 */
export const reflectionServices = [
  ServerReflectionService,
  {
    serverReflectionInfo: {
      ...serverReflectionInfo,
      path: serverReflectionInfo.path.replace('.v1.', '.v1alpha.'),
    },
  },
] as const;
