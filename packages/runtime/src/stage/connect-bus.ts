import { TesseraError } from '@tessera/protocol';
import { sleep } from '../abort.js';
import { Bus, type BusObserver, shownUrl } from '../nats/index.js';
import type { ServiceContext } from '../service/service.js';
import type { CommonSettings } from '../settings/common-settings.js';
import { busLimits } from '../settings/nats-settings.js';
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

/** Pauses between attempts to reach NATS; the last one goes on. */
const retryDelaysMs = [100, 250, 500, 1000, 2000];

/**
 * A service's bus: connected as its settings say, its streams set up, watched by its metrics, and a need of its
 * readiness. A service that starts while NATS is away waits for it.
 * @param revision the model's: keeps two versions apart
 * @param onlyForJobs whether the service's calls are answered without NATS
 * @throws TesseraError STAGE_UNAVAILABLE when NATS does not answer within `nats.waitMs`; CONFIG_INVALID; DRAINING
 */
export async function connectBus(
  context: ServiceContext<CommonSettings>,
  revision: string,
  { onlyForJobs = false }: { onlyForJobs?: boolean } = {},
): Promise<Bus> {
  const { readiness, settings } = context;
  const bus = await readiness.during(`NATS at ${shownUrl(settings['nats.url'])}`, patiently(context, revision));
  readiness.require({ what: `NATS at ${bus.url}`, holds: () => bus.isOnline, onlyForJobs });
  readiness.require({
    what: 'the streams on NATS',
    // While NATS is away it is NATS that is waited for.
    holds: () => bus.hasStreams || !bus.isOnline,
    look: () => bus.lookForStreams(),
    onlyForJobs,
  });
  return bus;
}

async function patiently(context: ServiceContext<CommonSettings>, revision: string): Promise<Bus> {
  const { settings, log, drain } = context;
  const giveUpAt = performance.now() + settings['nats.waitMs'];
  for (let attempt = 0; ; attempt++) {
    drain.throwIfAborted();
    try {
      return await connectOnce(context, revision);
    } catch (reason) {
      const delayMs = retryDelaysMs[Math.min(attempt, retryDelaysMs.length - 1)] as number;
      const isAway = reason instanceof TesseraError && reason.code === 'STAGE_UNAVAILABLE';
      if (!isAway || performance.now() + delayMs > giveUpAt) throw reason;
      if (attempt === 0) log.warn({ event: 'waiting', reason: reason.message }, 'waiting for NATS');
      await sleep(delayMs, drain);
    }
  }
}

async function connectOnce(
  { name, settings, log, metrics }: ServiceContext<CommonSettings>,
  revision: string,
): Promise<Bus> {
  const bus = await Bus.connect({
    url: settings['nats.url'],
    prefix: settings['nats.prefix'],
    revision,
    name,
    log,
    metrics,
    observer: jobMetrics(metrics),
    limits: busLimits(settings, settings['grpc.maxDeadlineMs']),
  });
  try {
    await bus.setup();
    return bus;
  } catch (reason) {
    await bus.close();
    throw reason;
  }
}
