import { LayerServiceDefinition } from '@tessera/protocol';
import { clientCredentials, createClient } from '@tessera/service';
import { engineBudget, engineBundle } from '../engine/create-engine-core.js';
import type { EngineConfig, LayersConfig } from '../engine/engine-config.js';
import { bytesPerRow } from '../kv/kv-shape.js';
import { LayerLinks, type LayerLinksOptions } from './layer-links.js';

/**
 * The links of an engine to the shards of its later pieces, which it is told of later.
 * @throws TesseraError CONFIG_INVALID for a bundle or a budget that will not do; CHECKPOINT_INVALID
 */
export async function openLayers(
  config: EngineConfig,
  { rowType, callTimeoutMs, maxMessageBytes, tls }: LayersConfig,
  listener: Pick<LayerLinksOptions, 'onTrouble' | 'onMissing'>,
): Promise<LayerLinks> {
  const bundle = await engineBundle(config);
  const budget = engineBudget(bundle, config);
  const { refreshMs, serverName, ...files } = tls;
  const credentials = clientCredentials(files, { refreshMs, onTrouble: listener.onTrouble });
  const [first] = bundle.layerPieces.pieces;
  const rowBytes = bytesPerRow({ ...bundle.manifest.llm, layers: first?.layers ?? 0 });
  return new LayerLinks({
    bundle,
    size: { slots: config.limits.maxRunning, maxPositions: budget.contextTokens },
    positions: Math.floor(budget.bytes / rowBytes),
    rowType,
    callTimeoutMs,
    connect: (address) => createClient(LayerServiceDefinition, address, { credentials, serverName, maxMessageBytes }),
    ...listener,
  });
}
