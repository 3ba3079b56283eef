import type { Settings, SettingsSchema } from '../settings/setting.js';
import { gaugeMetric } from './metric.js';
import type { Metrics } from './metrics.js';

const settingGauge = gaugeMetric('tessera_setting', {
  unit: 'count',
  help: 'A setting in force that is a number, each in the unit that docs/configuration.md gives it: what a limit is, beside how much of it is used.',
  labels: ['name'],
  from: 'every service',
});

/** Has the metrics say which numbers a service was set to; never a secret one. */
export function tellSettings<S extends SettingsSchema>(metrics: Metrics, schema: S, settings: Settings<S>): void {
  const gauge = metrics.gauge(settingGauge);
  for (const [name, value] of Object.entries<unknown>(settings)) {
    if (typeof value === 'number' && schema[name]?.secret === false) gauge.set({ name }, value);
  }
}
