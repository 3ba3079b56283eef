import { sleep } from '@tessera/flow';
import { type DeclaredQueue, TesseraError } from '@tessera/protocol';
import type { CommonSettings, ServiceContext, Settings } from '@tessera/service';
import { Bus } from './bus.js';
import { shownUrl } from './connection/bus-connection.js';
import type { BusCredentials } from './connection/bus-credentials.js';
import { countWork } from './count-work.js';
import { busLimits, type NatsSettings } from './nats-settings.js';

export interface ConnectBusOptions {
  /** The queue that the service takes jobs from, if it takes any. */
  readonly takes?: DeclaredQueue;
  /** Whether the service's calls are answered without NATS. */
  readonly onlyForJobs?: boolean;
}

/** Pauses between attempts to reach NATS; the last one goes on. */
const retryDelaysMs = [100, 250, 500, 1000, 2000];

function credentialsFrom(settings: Settings<NatsSettings>): BusCredentials {
  return {
    user: settings['nats.user'],
    passwordFile: settings['nats.passwordFile'],
    tokenFile: settings['nats.tokenFile'],
    nkeyFile: settings['nats.nkeyFile'],
    credentialsFile: settings['nats.credentialsFile'],
    requireTls: settings['nats.tls'] === 'require',
    caFile: settings['nats.caFile'],
    certFile: settings['nats.certFile'],
    keyFile: settings['nats.keyFile'],
    serverName: settings['nats.serverName'],
  };
}

/**
 * A service's bus: connected as its settings say, its streams set up, watched by its metrics, and a need of its
 * readiness. A service that starts while NATS is away waits for it.
 * @param revision the model's: keeps two versions apart
 * @throws TesseraError STAGE_UNAVAILABLE when NATS does not answer within `nats.waitMs`; CONFIG_INVALID; DRAINING
 */
export async function connectBus(
  context: ServiceContext<CommonSettings & NatsSettings>,
  revision: string,
  { takes, onlyForJobs = false }: ConnectBusOptions = {},
): Promise<Bus> {
  const { readiness, settings } = context;
  const bus = await readiness.during(`NATS at ${shownUrl(settings['nats.url'])}`, patiently(context, revision, takes));
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

async function patiently(
  context: ServiceContext<CommonSettings & NatsSettings>,
  revision: string,
  takes: DeclaredQueue | undefined,
): Promise<Bus> {
  const { settings, log, drain } = context;
  const giveUpAt = performance.now() + settings['nats.waitMs'];
  for (let attempt = 0; ; attempt++) {
    drain.throwIfAborted();
    try {
      return await connectOnce(context, revision, takes);
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
  { name, settings, log, metrics }: ServiceContext<CommonSettings & NatsSettings>,
  revision: string,
  takes: DeclaredQueue | undefined,
): Promise<Bus> {
  const bus = await Bus.connect({
    url: settings['nats.url'],
    credentials: credentialsFrom(settings),
    prefix: settings['nats.prefix'],
    revision,
    name,
    log,
    metrics,
    observer: countWork(metrics, takes),
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
