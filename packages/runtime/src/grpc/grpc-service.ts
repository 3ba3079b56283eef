import type { CompatServiceDefinition, ServiceImplementation } from 'nice-grpc';
import type { CallFacts } from './call-facts.js';

/** A service and what answers for it. Make it with `grpcService`, which checks one against the other. */
export interface GrpcService {
  readonly definition: CompatServiceDefinition;
  readonly implementation: object;
  /** Who calls it: anyone, who is told of each field that is not of the contract; or services, which may be newer. */
  readonly callers: 'anyone' | 'services';
}

/** A handler's context has, besides gRPC's own, `deadlineMs` and `log`; its signal aborts for a TesseraError. */
export function grpcService<Definition extends CompatServiceDefinition>(
  definition: Definition,
  implementation: ServiceImplementation<Definition, CallFacts>,
  { callers = 'anyone' }: Partial<Pick<GrpcService, 'callers'>> = {},
): GrpcService {
  return { definition, implementation, callers };
}

/** Such as `tessera.v1.LlmService`. */
export function fullName({ definition }: GrpcService): string {
  if ('fullName' in definition && typeof definition.fullName === 'string') return definition.fullName;
  const [method] = Object.values(definition) as Array<{ path?: string }>;
  return method?.path?.split('/')[1] ?? '';
}
