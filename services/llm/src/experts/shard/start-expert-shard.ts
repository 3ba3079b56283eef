import { randomBytes } from 'node:crypto';
import { modelInfo, readBundle } from '@tessera/bundle';
import { type Announcer, connectBus, expertShards } from '@tessera/bus';
import { sessionOptions } from '@tessera/inference';
import { TesseraError } from '@tessera/protocol';
import { modelInfoGauge, type ServiceContext, type ServiceParts } from '@tessera/service';
import type { llmSettings } from '../../config.js';
import { ExpertMetrics } from '../expert-metrics.js';
import { PlacementFile } from '../placement-file.js';
import { expertService } from './expert-server.js';
import { ExpertShard } from './expert-shard.js';
import { PlacementUsers } from './placement-users.js';

/** The LLM service in the role of an expert shard. @throws TesseraError CONFIG_INVALID, CHECKPOINT_INVALID */
export async function startExpertShard(context: ServiceContext<typeof llmSettings>): Promise<ServiceParts> {
  const { settings, metrics, readiness, drain, log } = context;
  const bundle = await readBundle(settings['model.dir'], ['llm']);
  const { name, revision, weights, llm } = bundle.manifest;
  const file = new PlacementFile(given(settings['experts.placementFile'], 'experts.placementFile'), bundle);
  const group = given(settings['experts.group'], 'experts.group');
  const shard = new ExpertShard(bundle, sessionOptions(settings), group);
  const users = new PlacementUsers();
  const placement = await file.open();
  await readiness.during('the experts to be loaded', shard.take(placement));
  const bus = await connectBus(context, revision).catch(async (reason: unknown) => {
    await shard.release();
    throw reason;
  });
  metrics.gauge(modelInfoGauge).set({ name, revision, weights }, 1);
  const meter = new ExpertMetrics(metrics).follow(shard);

  const announcing = new AbortController();
  let announcer: Announcer | undefined;
  const refused = (error: TesseraError): void =>
    log.error({ event: 'placement_refused', reason: error.message }, 'a placement is not taken; the one before stays');
  file.follow(
    {
      onNew: (next) => {
        log.info({ event: 'placement', epoch: next.epoch }, 'a placement is taken up');
        shard.take(next, () => users.noneBefore(next.epoch)).catch((reason) => refused(TesseraError.from(reason)));
      },
      onRefused: refused,
    },
    announcing.signal,
  );
  shard.onChange(() => announcer?.now());
  drain.addEventListener('abort', () => shard.drain(), { once: true });
  const description = { model: modelInfo(bundle.manifest), hiddenSize: llm.hiddenSize };
  return {
    services: [expertService({ shard, users, description })],
    listening: (grpcAddress) => {
      const facts = {
        shardId: randomBytes(8).toString('hex'),
        address: settings['engine.advertise'] ?? grpcAddress,
        group,
      };
      announcer = bus.announceShard(expertShards, () => ({ ...facts, holdings: shard.holdings }), announcing.signal);
    },
    stop: async () => {
      await users.idle();
      announcing.abort();
      meter.stop();
      await bus.close();
      await shard.release();
    },
  };
}

function given(value: string | undefined, name: string): string {
  if (value !== undefined) return value;
  throw new TesseraError('CONFIG_INVALID', `an expert shard needs ${name}`);
}
