import { natsSettings } from '@tessera/bus';
import { commonSettings, type Settings } from '@tessera/service';
import { batchWaitSetting, stageSettings } from '@tessera/stage';

/** The connector's settings. */
export const connectorSettings = {
  ...commonSettings,
  ...natsSettings,
  ...stageSettings({ what: 'tiles', maxBatch: 32, maxWaiting: 1024, slots: 32, maxCalls: 64 }),
  ...batchWaitSetting,
};

export type ConnectorSettings = Settings<typeof connectorSettings>;
