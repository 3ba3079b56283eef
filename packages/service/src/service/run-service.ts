import { setLogger } from '@grpc/grpc-js';
import { TesseraError } from '@tessera/protocol';
import type { CommonSettings } from '../settings/common-settings.js';
import { maskSecrets, settingsHelp } from '../settings/describe-settings.js';
import { loadSettings } from '../settings/load-settings.js';
import type { Settings } from '../settings/setting.js';
import { createLog, type Logger } from '../telemetry/log.js';
import { Metrics } from '../telemetry/metrics.js';
import { startTracing } from '../telemetry/tracing.js';
import { leaveSignals } from './early-signals.js';
import type { Service, ServiceSettings } from './service.js';
import { type RunningService, startService } from './start-service.js';

/** Exit codes of a service: 0 drained, 1 a fault or a drain cut short, 2 a setting is wrong. */
const exitCodes = { drained: 0, failed: 1, misconfigured: 2 } as const;

/**
 * The life of a service process: settings, start, one `ready` line (an event that programs may wait for), and on
 * SIGTERM or SIGINT a drain. A second signal, or a drain longer than `drain.graceMs`, ends it with exit code 1 and a log
 * line that says what was still running. A process with an IPC channel sends its ready line there too, and drains when
 * the channel closes: it must not outlive a parent that was killed.
 */
export async function runService<S extends ServiceSettings>(
  service: Service<S>,
  { argv = process.argv.slice(2), env = process.env }: { argv?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<never> {
  const { name } = service;
  if (argv.includes('--help')) {
    process.stdout.write(settingsHelp(name, service.settings));
    process.exit(0);
  }
  const settings = loadOrExit(service, argv, env);
  const common = settings as unknown as Settings<CommonSettings>;
  const log = createLog({ service: name, level: common['log.level'], format: common['log.format'] });
  const fail = (reason: unknown, message: string): never => {
    log.fatal({ event: 'failed', err: reason }, message);
    const isSetting = reason instanceof TesseraError && reason.code === 'CONFIG_INVALID';
    process.exit(isSetting ? exitCodes.misconfigured : exitCodes.failed);
  };
  process.on('uncaughtException', (error) => fail(error, 'unhandled error'));
  process.on('unhandledRejection', (reason) => fail(reason, 'unhandled rejection'));

  // gRPC's own words go to the log, not between its lines on standard error.
  const grpcLog = log.child({ library: 'grpc-js' });
  const note = (message: unknown) => grpcLog.debug(String(message));
  setLogger({ error: note, info: note, debug: note });

  const ending = endRequested(log);
  log.debug({ event: 'settings', settings: maskSecrets(service.settings, settings) }, 'settings');
  const metrics = new Metrics();
  metrics.collectProcess();
  const starting = new AbortController();
  void ending.then((why) => starting.abort(new TesseraError('DRAINING', `the ${name} was told to end: ${why}`)));
  const tracing = await startTracing({ service: name, log, metrics, env });
  let running: RunningService;
  try {
    running = await startService(service, settings, { log, metrics, signal: starting.signal });
  } catch (error) {
    if (starting.signal.aborted) {
      log.info({ event: 'stopped', reason: await ending }, 'told to end while it started');
      process.exit(exitCodes.drained);
    }
    return fail(error, 'could not start');
  }
  const ready = {
    event: 'ready',
    ready: true,
    grpc: running.grpcAddress,
    metrics: running.metricsAddress,
    pid: process.pid,
  };
  log.info(ready, 'ready');
  process.send?.({ ...ready, service: name });

  const reason = await ending;
  log.info({ event: 'draining', reason }, 'draining');
  const failure = await running.stop().then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  await tracing?.stop(common['traces.flushMs']);
  if (failure !== undefined) return fail(failure.error, 'the drain did not end cleanly');
  log.info({ event: 'stopped' }, 'stopped');
  process.exit(exitCodes.drained);
}

function loadOrExit<S extends ServiceSettings>(
  { name, settings }: Service<S>,
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): Settings<S> {
  try {
    return loadSettings(name, settings, argv, env);
  } catch (error) {
    // The log's own settings may be what is wrong: a plain sentence, where people look for it.
    process.stderr.write(`${name}: ${TesseraError.from(error).message}\n`);
    process.exit(exitCodes.misconfigured);
  }
}

/** Resolves on the first wish to end; a second signal ends the process at once. */
function endRequested(log: Logger): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals) => {
      if (asked) {
        log.fatal({ event: 'killed', reason: signal }, 'second signal: ended without waiting for work in flight');
        process.exit(exitCodes.failed);
      }
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    leaveSignals();
    if (process.connected) process.once('disconnect', () => resolve('the parent process is gone'));
  });
}
