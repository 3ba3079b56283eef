import { setMaxListeners } from 'node:events';
import { abortable, signalWithDeadline, sleep } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { GrpcServer } from '../grpc/grpc-server.js';
import type { Health } from '../grpc/health.js';
import type { CommonSettings } from '../settings/common-settings.js';
import { settingsFrom } from '../settings/load-settings.js';
import type { Settings } from '../settings/setting.js';
import { createLog, type Logger } from '../telemetry/log.js';
import { gaugeMetric } from '../telemetry/metric.js';
import { Metrics } from '../telemetry/metrics.js';
import { tellSettings } from '../telemetry/tell-settings.js';
import { version } from '../version.js';
import { startHttpServer } from './http-server.js';
import { Readiness } from './readiness.js';
import type { Service, ServiceSettings } from './service.js';

const buildInfo = gaugeMetric('tessera_build_info', {
  unit: 'info',
  help: 'Always 1; the labels say what runs.',
  labels: ['service', 'version'],
  from: 'every service',
});

const readyGauge = gaugeMetric('tessera_ready', {
  unit: 'count',
  help: '1 while the service takes work, 0 while it starts or drains.',
  from: 'every service',
});

export interface RunningService {
  readonly name: string;
  /** Such as `127.0.0.1:40001`. */
  readonly grpcAddress: string;
  readonly metricsAddress: string;
  readonly metrics: Metrics;
  /**
   * Drains and ends the service; calls after the first share its outcome.
   * @throws TesseraError DEADLINE_EXCEEDED, after cutting what was left, if `drain.graceMs` did not suffice
   */
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly log?: Logger;
  readonly metrics?: Metrics;
  /** Ends a start that waits for something, which then fails. */
  readonly signal?: AbortSignal;
}

/** How long work that is cut off has to be handed over, before the process may end. */
const handOverMs = 1000;

/** How soon the gauge, the log and watchers of the health service hear of a change. */
const followMs = 250;

/**
 * Starts a service inside this process: for tests, and for several services in one process. Resolves when it is ready.
 * It neither handles signals nor exits; `runService` does.
 */
export async function startService<S extends ServiceSettings>(
  service: Service<S>,
  given: Partial<Settings<S>>,
  options: StartOptions = {},
): Promise<RunningService> {
  const { name } = service;
  const settings = settingsFrom(name, service.settings, given);
  // S has the common settings, but TypeScript cannot see through the mapped type of a generic schema.
  const common = settings as unknown as Settings<CommonSettings>;
  const log = options.log ?? createLog({ service: name, level: common['log.level'], format: common['log.format'] });
  const metrics = options.metrics ?? new Metrics();
  const drain = new AbortController();
  const overdue = new AbortController();
  // Every call in work may listen for the drain, in every service; admission bounds how many there are.
  setMaxListeners(0, drain.signal);
  metrics.gauge(buildInfo).set({ service: name, version }, 1);
  metrics.gauge(readyGauge).set(0);
  tellSettings(metrics, service.settings, settings);
  const readiness = new Readiness();
  const http = await startHttpServer({
    host: common['metrics.host'],
    port: common['metrics.port'],
    registry: metrics.registry,
    askReady: () => readiness.ask(),
  });
  const giveUp = () => drain.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', giveUp, { once: true });
  if (options.signal?.aborted === true) giveUp();
  let grpc: GrpcServer | undefined;
  let stopParts: (() => Promise<void>) | undefined;
  try {
    const parts = await service.start({
      name,
      settings,
      log,
      metrics,
      readiness,
      drain: drain.signal,
      overdue: overdue.signal,
    });
    stopParts = () => parts.stop();
    grpc = new GrpcServer({ name, services: parts.services, settings: common, log, metrics, drain: drain.signal });
    const server = grpc;
    const grpcAddress = await server.listen();
    parts.listening?.(grpcAddress);
    await parts.ready;
    options.signal?.removeEventListener('abort', giveUp);
    readiness.phase = 'serving';
    const following = followReadiness(readiness, { health: server.health, log, metrics });

    const drainAndStop = async () => {
      readiness.phase = 'draining';
      following.stop();
      drain.abort(new TesseraError('DRAINING', `the ${name} is shutting down`));
      using grace = signalWithDeadline(undefined, Date.now() + common['drain.graceMs']);
      const stopped = parts.stop();
      try {
        await abortable(stopped, grace.signal);
        await abortable(server.shutdown(), grace.signal);
      } catch (cause) {
        const open = server.openCalls();
        const left = open.length === 0 ? 'work outside of calls' : open.join(', ');
        if (!grace.signal.aborted) throw cause;
        overdue.abort(new TesseraError('DRAINING', `the ${name} ends before this is done`));
        await Promise.race([stopped.catch(() => undefined), sleep(handOverMs)]);
        throw new TesseraError(
          'DEADLINE_EXCEEDED',
          `the ${name} did not finish within drain.graceMs (${common['drain.graceMs']}): still running: ${left}`,
        );
      } finally {
        server.forceShutdown();
        await http.close();
      }
    };
    let stopping: Promise<void> | undefined;
    return {
      name,
      grpcAddress,
      metricsAddress: http.address,
      metrics,
      stop: () => {
        stopping ??= drainAndStop();
        return stopping;
      },
    };
  } catch (error) {
    options.signal?.removeEventListener('abort', giveUp);
    drain.abort(new TesseraError('DRAINING', `the ${name} could not start`));
    grpc?.forceShutdown();
    await stopParts?.().catch((reason: unknown) => log.error({ err: reason }, 'the failed start could not be undone'));
    await http.close();
    throw error;
  }
}

/** Keeps the gauge, the health service and the log at what the readiness says, until it is stopped. */
function followReadiness(
  readiness: Readiness,
  { health, log, metrics }: { health: Health; log: Logger; metrics: Metrics },
): { stop(): void } {
  const gauge = metrics.gauge(readyGauge);
  let told = true;
  const follow = (): void => {
    const { ready, text } = readiness.report();
    gauge.set(ready ? 1 : 0);
    health.state = {
      takesWork: ready,
      answersCalls: readiness.answersCalls,
      draining: readiness.phase === 'draining',
    };
    if (ready !== told && readiness.phase === 'serving') {
      if (ready) log.info({ event: 'ready_again' }, text);
      else log.warn({ event: 'not_ready' }, text);
    }
    told = ready;
  };
  follow();
  const timer = setInterval(follow, followMs).unref();
  return {
    stop: () => {
      clearInterval(timer);
      follow();
    },
  };
}
