import { type Bundle, modelInfo, type StageName } from '@tessera/bundle';
import type { Bus } from '@tessera/bus';
import { createThreadSession, type Session, sessionOptions } from '@tessera/inference';
import type { DeclaredQueue, JobMessage, ModelInfo } from '@tessera/protocol';
import type { GrpcService, ServiceContext, ServiceParts } from '@tessera/service';
import { Admission } from './admission.js';
import { StageMeter } from './stage-meter.js';
import type { StageSettings } from './stage-settings.js';
import { type Stage, startStage } from './start-stage.js';

/** What a stage's own work is built from. */
export interface GraphStageParts {
  /** As `Describe` tells it. */
  readonly model: ModelInfo;
  /** The stage's graph, in a thread of its own. */
  readonly session: Session;
  readonly bus: Bus;
  readonly admission: Admission;
  readonly meter: StageMeter;
}

/** A stage's own work: what it does with jobs and calls. */
export interface GraphStageWork<Job extends JobMessage> extends Pick<Stage<Job>, 'handle' | 'expectedMs'> {
  readonly service: GrpcService;
  /** Ends what uses the session; called once no job and no call is running. */
  close(): Promise<void>;
}

export interface GraphStageOptions<Job extends JobMessage> {
  readonly stage: StageName;
  /** The jobs that it takes. */
  readonly queue: DeclaredQueue<Job>;
  readonly bundle: Bundle;
  readonly context: ServiceContext<StageSettings>;
  /** The calls that do work, in the words of an error: "Encode calls". */
  readonly calls: string;
  build(parts: GraphStageParts): GraphStageWork<Job>;
}

/** A stage whose work is one graph of the bundle: loads it into a thread, and lives as `startStage` says. */
export function startGraphStage<Job extends JobMessage>(options: GraphStageOptions<Job>): Promise<ServiceParts> {
  const { stage, queue, bundle, context, calls, build } = options;
  const { settings, metrics, drain } = context;
  const model = modelInfo(bundle.manifest);
  return startStage({
    queue,
    model,
    context,
    build: async (bus) => {
      const session = await createThreadSession(
        stage,
        bundle.file(bundle.stage(stage).graph),
        sessionOptions(settings),
      );
      const meter = new StageMeter(metrics, stage);
      const admission = new Admission(calls, settings['calls.max'], drain);
      const { service, close, ...work } = build({ model, session, bus, admission, meter });
      return {
        ...work,
        slots: settings['jobs.slots'],
        services: [service],
        admission,
        crashed: session.crashed,
        release: async () => {
          await close();
          await session.release();
          meter.stop();
        },
      };
    },
  });
}
