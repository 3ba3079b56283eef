import { EventEmitter, once } from 'node:events';
import { type CallContext, ServerError, type ServiceImplementation, Status } from 'nice-grpc';
import { HealthDefinition } from 'nice-grpc-server-health';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from 'nice-grpc-server-health/lib/proto/grpc/health/v1/health.js';

export { HealthDefinition };

type Phase = 'starting' | 'serving' | 'draining';

/**
 * The standard health service for a process whose services are ready, and drain, together. A watcher hears NOT_SERVING
 * when the drain begins and then its stream ends, so that it does not hold the shutdown up.
 */
export class Health {
  readonly #changes = new EventEmitter().setMaxListeners(0);
  readonly #services: ReadonlySet<string>;
  #phase: Phase = 'starting';

  /** @param services full names, such as `tessera.v1.LlmService` */
  constructor(services: Iterable<string>) {
    // The empty name stands for the process as a whole.
    this.#services = new Set(['', ...services]);
  }

  get phase(): Phase {
    return this.#phase;
  }

  set phase(phase: Phase) {
    this.#phase = phase;
    this.#changes.emit('change');
  }

  readonly implementation: ServiceImplementation<typeof HealthDefinition> = {
    check: async ({ service }: HealthCheckRequest): Promise<HealthCheckResponse> => {
      if (!this.#services.has(service)) throw new ServerError(Status.NOT_FOUND, `no service ${service} here`);
      return { status: this.#status() };
    },
    watch: (request: HealthCheckRequest, context: CallContext) => this.#watch(request, context),
  };

  async *#watch({ service }: HealthCheckRequest, context: CallContext): AsyncGenerator<HealthCheckResponse> {
    let told: ServingStatus | undefined;
    while (true) {
      const status = this.#services.has(service) ? this.#status() : ServingStatus.SERVICE_UNKNOWN;
      const changed =
        this.#phase === 'draining' ? undefined : once(this.#changes, 'change', { signal: context.signal });
      // A watcher that leaves while its message is on the way must not leave an unhandled rejection.
      changed?.catch(() => {});
      if (status !== told) yield { status };
      told = status;
      if (changed === undefined) return;
      await changed;
    }
  }

  #status(): ServingStatus {
    return this.#phase === 'serving' ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }
}
