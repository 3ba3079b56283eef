import type { CompatServiceDefinition, ServiceImplementation } from 'nice-grpc';
import type { CallFacts } from './call-facts.js';

/** A service and what answers for it. Make it with `grpcService`, which checks one against the other. */
export interface GrpcService {
  readonly definition: CompatServiceDefinition;
  readonly implementation: object;
  /** Who calls it: anyone, who is told of each field that is not of the contract; or services, which may be newer. */
  readonly callers: 'anyone' | 'services';
  /** Whether its calls may go on for ever where their caller sets no deadline; they are ended at the drain by themselves. */
  readonly staysOpen: boolean;
  /**
   * Asked when the headers of a call have come, before a word of it is read or anything is made for it: to refuse takes a
   * fraction of what a handler takes that refuses. What it returns is disposed of when the call has ended, or before,
   * when its handler does so.
   * @param path such as `/tessera.v1.ChatService/Chat`
   * @throws TesseraError to refuse the call
   */
  readonly onArrival?: (path: string) => Disposable | undefined;
}

export type GrpcServiceOptions = Partial<Pick<GrpcService, 'callers' | 'onArrival' | 'staysOpen'>>;

/** A handler's context has, besides gRPC's own, `deadlineMs` and `log`; its signal aborts for a TesseraError. */
export function grpcService<Definition extends CompatServiceDefinition>(
  definition: Definition,
  implementation: ServiceImplementation<Definition, CallFacts>,
  { callers = 'anyone', staysOpen = false, onArrival }: GrpcServiceOptions = {},
): GrpcService {
  return { definition, implementation, callers, staysOpen, onArrival };
}

/** Such as `tessera.v1.LlmService`. */
export function fullName({ definition }: Pick<GrpcService, 'definition'>): string {
  if ('fullName' in definition && typeof definition.fullName === 'string') return definition.fullName;
  const [method] = Object.values(definition) as Array<{ path?: string }>;
  return method?.path?.split('/')[1] ?? '';
}
