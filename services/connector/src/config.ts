import type { Settings } from '@tessera/service';
import { tileStageSettings } from '@tessera/stage';

/** The connector's settings. */
export const connectorSettings = tileStageSettings({ maxBatch: 32, maxWaiting: 1024, slots: 32, maxCalls: 64 });

export type ConnectorSettings = Settings<typeof connectorSettings>;
