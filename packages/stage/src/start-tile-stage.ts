import { BatchedGraph, type GraphPorts } from '@tessera/inference';
import type { JobMessage } from '@tessera/protocol';
import { counterMetric, type ServiceContext, type ServiceParts } from '@tessera/service';
import type { TileStageSettings } from './stage-settings.js';
import {
  type GraphStageOptions,
  type GraphStageParts,
  type GraphStageWork,
  startGraphStage,
} from './start-graph-stage.js';

const tilesTotal = counterMetric('tessera_tiles_total', {
  unit: 'count',
  help: 'Tiles computed.',
  labels: ['stage'],
  from: 'encoder, connector',
});

export interface TileStageOptions<Job extends JobMessage>
  extends Omit<GraphStageOptions<Job>, 'stage' | 'context' | 'build'> {
  readonly stage: 'encoder' | 'connector';
  readonly context: ServiceContext<TileStageSettings>;
  /** One tile's tensors. */
  readonly ports: GraphPorts;
  /** @param tiles the graph, which tiles of different jobs and calls share in batches and do not influence each other by */
  build(tiles: BatchedGraph, parts: GraphStageParts): Omit<GraphStageWork<Job>, 'close'> & { close?(): void };
}

/** A stage that makes one tensor of another, tile by tile. */
export function startTileStage<Job extends JobMessage>(options: TileStageOptions<Job>): Promise<ServiceParts> {
  const { ports, build, ...rest } = options;
  const { stage, context } = rest;
  const { settings, metrics } = context;
  return startGraphStage({
    ...rest,
    build: (parts) => {
      const tiles = new BatchedGraph(parts.session, {
        ...ports,
        what: 'tiles',
        maxBatch: settings['batch.max'],
        waitMs: settings['batch.waitMs'],
        maxWaiting: settings['batch.maxWaiting'],
        onBatch: (batch) => {
          parts.meter.batch(batch);
          metrics.counter(tilesTotal).inc({ stage }, batch.size);
        },
      });
      const work = build(tiles, parts);
      return {
        ...work,
        close: async () => {
          await tiles.close();
          work.close?.();
        },
      };
    },
  });
}
