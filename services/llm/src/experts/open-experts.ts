import { readBundle } from '@tessera/bundle';
import { ExpertServiceDefinition, type TesseraError } from '@tessera/protocol';
import { clientCredentials, createClient } from '@tessera/service';
import type { EngineConfig, ExpertsConfig } from '../engine/engine-config.js';
import { ExpertPool } from './expert-pool.js';
import { lostShard } from './lost-shard.js';
import type { MissingExperts } from './missing-experts.js';
import { PlacementFile } from './placement-file.js';

/** Who is told of what happens. */
export interface ExpertListener {
  /** Of what an operator should see. */
  onTrouble(error: TesseraError): void;
  /** Of the experts that nobody holds: first of all, and whenever that changes. */
  onMissing(missing: MissingExperts): void;
}

/**
 * The experts as an engine's placement has them, which is followed from here on until the signal aborts.
 * @throws TesseraError CONFIG_INVALID for a placement or bundle that will not do; CHECKPOINT_INVALID
 */
export async function openExperts(
  { modelDir, session }: Pick<EngineConfig, 'modelDir' | 'session'>,
  { placementFile, rowType, callTimeoutMs, hedge, maxMessageBytes, tls }: ExpertsConfig,
  { onTrouble, onMissing }: ExpertListener,
  signal: AbortSignal,
): Promise<ExpertPool> {
  const bundle = await readBundle(modelDir, ['llm']);
  const file = new PlacementFile(placementFile, bundle);
  const placement = await file.open();
  const { refreshMs, serverName, ...files } = tls;
  const credentials = clientCredentials(files, { refreshMs, onTrouble });
  const following = file.follow({ onNew: (next) => pool.setPlacement(next), onRefused: onTrouble }, signal);
  const pool = await ExpertPool.create({
    bundle,
    session,
    placement,
    rowType,
    callTimeoutMs,
    hedge,
    connect: (address) => createClient(ExpertServiceDefinition, address, { credentials, serverName, maxMessageBytes }),
    onTrouble,
    onLost: (shard, error) => onTrouble(lostShard(shard, error, tls)),
    onMissing,
    onMisplaced: () => following.lookNow(),
  });
  return pool;
}
