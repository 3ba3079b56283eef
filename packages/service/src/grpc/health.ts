import { EventEmitter, once } from 'node:events';
import { type CallContext, ServerError, type ServiceImplementation, Status } from 'nice-grpc';
import { HealthDefinition } from 'nice-grpc-server-health';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from 'nice-grpc-server-health/lib/proto/grpc/health/v1/health.js';

export { HealthDefinition };

/** How a process stands. */
export interface HealthState {
  /** The process takes all the work it is there for: what the empty service name asks. */
  readonly takesWork: boolean;
  /** Calls of its services are answered, which may be so while it takes no jobs. */
  readonly answersCalls: boolean;
  readonly draining: boolean;
}

/**
 * The standard health service for a process whose services are ready, and drain, together. A watcher hears NOT_SERVING
 * when the drain begins and then its stream ends, so that it does not hold the shutdown up.
 */
export class Health {
  readonly #changes = new EventEmitter().setMaxListeners(0);
  readonly #services: ReadonlySet<string>;
  #state: HealthState = { takesWork: false, answersCalls: false, draining: false };

  /** @param services full names, such as `tessera.v1.LlmService` */
  constructor(services: Iterable<string>) {
    this.#services = new Set(['', ...services]);
  }

  set state(state: HealthState) {
    const { takesWork, answersCalls, draining } = this.#state;
    this.#state = state;
    if (takesWork !== state.takesWork || answersCalls !== state.answersCalls || draining !== state.draining) {
      this.#changes.emit('change');
    }
  }

  readonly implementation: ServiceImplementation<typeof HealthDefinition> = {
    check: async ({ service }: HealthCheckRequest): Promise<HealthCheckResponse> => {
      if (!this.#services.has(service)) throw new ServerError(Status.NOT_FOUND, `no service ${service} here`);
      return { status: this.#status(service) };
    },
    watch: (request: HealthCheckRequest, context: CallContext) => this.#watch(request, context),
  };

  async *#watch({ service }: HealthCheckRequest, context: CallContext): AsyncGenerator<HealthCheckResponse> {
    let told: ServingStatus | undefined;
    while (true) {
      const status = this.#services.has(service) ? this.#status(service) : ServingStatus.SERVICE_UNKNOWN;
      const changed = this.#state.draining ? undefined : once(this.#changes, 'change', { signal: context.signal });
      // A watcher that leaves while its message is on the way must not leave an unhandled rejection.
      changed?.catch(() => {});
      if (status !== told) yield { status };
      told = status;
      if (changed === undefined) return;
      await changed;
    }
  }

  #status(service: string): ServingStatus {
    // The empty name stands for the process as a whole.
    const serves = service === '' ? this.#state.takesWork : this.#state.answersCalls;
    return serves && !this.#state.draining ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }
}
