import { type Bus, connectBus, type JobContext } from '@tessera/bus';
import { sleep } from '@tessera/flow';
import {
  type DeclaredQueue,
  type JobMessage,
  type ModelInfo,
  type TesseraError,
  WeightFormat,
} from '@tessera/protocol';
import {
  type GrpcService,
  gaugeMetric,
  modelInfoGauge,
  type ServiceContext,
  type ServiceParts,
} from '@tessera/service';
import type { Admission } from './admission.js';
import { endWithEngine } from './end-with-engine.js';
import type { StageSettings } from './stage-settings.js';

const jobsRunning = gaugeMetric('tessera_jobs_running', {
  unit: 'count',
  help: 'Jobs in work.',
  labels: ['kind'],
  from: 'encoder, connector, generator',
});

/** What a pulling stage is made of, besides the bus. */
export interface Stage<Job extends JobMessage> {
  /** Does one job. Errors become the job's failure, or its redelivery when they are retryable. */
  handle(job: Job, context: JobContext): Promise<void>;
  /** How long a job surely takes, in milliseconds: one whose deadline is nearer is not begun. */
  expectedMs?(job: Job): number;
  /** Jobs in work at one time. */
  readonly slots: number;
  readonly services: readonly GrpcService[];
  /** The calls that the drain waits for. */
  readonly admission: Admission;
  /** Resolves when the engine died. */
  readonly crashed: Promise<TesseraError>;
  /** Frees everything; called once no job and no call is running. */
  release(): Promise<void>;
}

export interface StageOptions<Job extends JobMessage> {
  readonly queue: DeclaredQueue<Job>;
  readonly model: ModelInfo;
  readonly context: ServiceContext<StageSettings>;
  build(bus: Bus): Promise<Stage<Job>>;
}

/** How long the jobs of a dead engine have to be handed back before the process ends. */
const handBackMs = 2000;

/**
 * The life of a stage that pulls jobs (encoder, connector, generator): connects to NATS, sets up its streams, pulls until
 * the drain, lets jobs and calls end, frees the engine, disconnects. When the engine dies, its jobs are handed back to
 * other replicas and the process fails: a stage without an engine must not look alive.
 */
export async function startStage<Job extends JobMessage>(options: StageOptions<Job>): Promise<ServiceParts> {
  const { queue, model, context } = options;
  const kind = queue.name;
  const { metrics, readiness, drain } = context;
  const { name, revision } = model;
  metrics.gauge(modelInfoGauge).set({ name, revision, weights: WeightFormat[model.weights].toLowerCase() }, 1);
  const bus = await connectBus(context, model.revision, { takes: queue, onlyForJobs: true });
  let stage: Stage<Job>;
  try {
    stage = await readiness.during('the model to be loaded', options.build(bus));
  } catch (reason) {
    await bus.close();
    throw reason;
  }

  const stopPulling = new AbortController();
  const onDrain = (): void => stopPulling.abort(drain.reason);
  if (drain.aborted) onDrain();
  drain.addEventListener('abort', onDrain, { once: true });
  const running = metrics.gauge(jobsRunning);
  const working = bus.work(queue, {
    slots: stage.slots,
    signal: stopPulling.signal,
    overdue: context.overdue,
    expectedMs: (job) => stage.expectedMs?.(job) ?? 0,
    handler: async (job, jobContext) => {
      running.inc({ kind });
      try {
        await stage.handle(job, jobContext);
      } finally {
        running.dec({ kind });
      }
    },
  });
  endWithEngine(stage.crashed, readiness, (error) => {
    stopPulling.abort(error);
    return Promise.race([working, sleep(handBackMs)]);
  });

  return {
    services: stage.services,
    stop: async () => {
      await Promise.all([working, stage.admission.idle()]);
      await stage.release();
      await bus.close();
    },
  };
}
