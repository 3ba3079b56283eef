import { batchWaitSetting, commonSettings, type Settings, stageSettings } from '@tessera/runtime';

/** The connector's settings. */
export const connectorSettings = {
  ...commonSettings,
  ...stageSettings({ what: 'tiles', maxBatch: 32, maxWaiting: 1024, slots: 32, maxCalls: 64 }),
  ...batchWaitSetting,
};

export type ConnectorSettings = Settings<typeof connectorSettings>;
