import type { DeclaredQueue } from '@tessera/protocol';
import type { CommonSettings, ServiceContext } from '@tessera/service';
import { Bus } from './bus.js';
import { shownUrl } from './connection/bus-connection.js';
import { untilNatsAnswers } from './connection/until-nats-answers.js';
import { countWork } from './count-work.js';
import { busLimits, credentialsFrom, type NatsSettings } from './nats-settings.js';

export interface ConnectBusOptions {
  /** The queue that the service takes jobs from, if it takes any. */
  readonly takes?: DeclaredQueue;
  /** Whether the service's calls are answered without NATS. */
  readonly onlyForJobs?: boolean;
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
  const { readiness, settings, log, drain } = context;
  const connected = untilNatsAnswers(() => connectOnce(context, revision, takes), {
    waitMs: settings['nats.waitMs'],
    signal: drain,
    onWaiting: (reason) => log.warn({ event: 'waiting', reason }, 'waiting for NATS'),
  });
  const bus = await readiness.during(`NATS at ${shownUrl(settings['nats.url'])}`, connected);
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
