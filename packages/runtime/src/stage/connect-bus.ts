import { Bus, type BusLimits, type BusObserver } from '../nats/index.js';
import type { ServiceContext } from '../service/service.js';
import type { CommonSettings } from '../settings/common-settings.js';
import type { Metrics } from '../telemetry/metrics.js';

/** Counts jobs and bytes; the bus counts for itself how its connection fares and what it drops. */
function jobMetrics(metrics: Metrics): BusObserver {
  return {
    published: (kind, bytes) => metrics.counter('tessera_bytes_total').inc({ kind, direction: 'out' }, bytes),
    received: (kind, bytes) => metrics.counter('tessera_bytes_total').inc({ kind, direction: 'in' }, bytes),
    jobEnded: (kind, outcome, { queueMs, busyMs }) => {
      metrics.counter('tessera_jobs_total').inc({ kind, outcome });
      metrics.histogram('tessera_queue_seconds').observe({ kind }, queueMs / 1000);
      metrics.histogram('tessera_job_seconds').observe({ kind }, busyMs / 1000);
    },
  };
}

/**
 * A service's bus: connected as its settings say, its streams set up, and watched by its metrics.
 * @param revision the model's: keeps two versions apart
 * @throws TesseraError STAGE_UNAVAILABLE when NATS cannot be reached; CONFIG_INVALID
 */
export async function connectBus(
  context: ServiceContext<CommonSettings>,
  revision: string,
  limits: Partial<BusLimits> = {},
): Promise<Bus> {
  const { name, settings, log, metrics } = context;
  const bus = await Bus.connect({
    url: settings['nats.url'],
    prefix: settings['nats.prefix'],
    revision,
    name,
    log,
    metrics,
    observer: jobMetrics(metrics),
    limits,
  });
  try {
    await bus.setup();
    return bus;
  } catch (reason) {
    await bus.close();
    throw reason;
  }
}
