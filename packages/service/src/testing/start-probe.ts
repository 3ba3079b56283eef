import { LlmServiceDefinition } from '@tessera/protocol';
import { createClient, type TesseraClient } from '../grpc/create-client.js';
import { type RunningService, startService } from '../service/start-service.js';
import type { CommonSettings } from '../settings/common-settings.js';
import type { Settings } from '../settings/setting.js';
import { memoryLog } from './memory-log.js';
import { type ProbeOptions, type ProbeRecord, probeService } from './probe-service.js';

export interface Probe extends AsyncDisposable {
  readonly service: RunningService;
  readonly client: TesseraClient<typeof LlmServiceDefinition>;
  readonly records: ProbeRecord[];
  readonly lines: Array<Record<string, unknown>>;
}

/** A probe service on free ports of this process, and a client of it. */
export async function startProbe(
  settings: Partial<Settings<CommonSettings>> = {},
  options: ProbeOptions = {},
): Promise<Probe> {
  const records: ProbeRecord[] = [];
  const { log, lines } = memoryLog();
  const given = { 'model.dir': 'none', 'drain.graceMs': 10_000, ...settings };
  const service = await startService(probeService(records, options), given, { log });
  const client = createClient(LlmServiceDefinition, service.grpcAddress);
  return {
    service,
    client,
    records,
    lines,
    async [Symbol.asyncDispose]() {
      client.close();
      await service.stop();
    },
  };
}

/** A request that asks the probe for `what`. */
export function ask(what: string): { requestId: string } {
  return { requestId: what };
}
