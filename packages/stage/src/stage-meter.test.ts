import { Metrics } from '@tessera/service';
import { metricValues } from '@tessera/service/testing/metric-values';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { StageMeter } from './stage-meter.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('batches are counted by their size and their time, and the share of the last seconds is told', async () => {
  const metrics = new Metrics();
  const meter = new StageMeter(metrics, 'encoder');
  const value = async (name: string, metricName = name) => {
    const values = await metricValues(metrics, name);
    return values.find((one) => one.metricName === undefined || one.metricName === metricName)?.value;
  };
  const share = () => value('tessera_busy_ratio');
  expect(await share()).toBe(0);
  meter.batch({ size: 3, busyMs: 1000 });
  meter.batch({ size: 5, busyMs: 250 });
  expect(await share()).toBe(0);
  vi.advanceTimersByTime(5000);
  expect(await share()).toBe(0.25);
  vi.advanceTimersByTime(5000);
  expect(await share()).toBe(0);
  // A batch of more than the window is counted where it ends.
  meter.batch({ size: 1, busyMs: 60_000 });
  vi.advanceTimersByTime(5000);
  expect(await share()).toBe(1);
  meter.stop();
  vi.advanceTimersByTime(60_000);
  expect(await share()).toBe(1);
  expect(await value('tessera_busy_seconds_total')).toBe(61.25);
  expect(await value('tessera_batch_size', 'tessera_batch_size_count')).toBe(3);
  expect(await value('tessera_batch_size', 'tessera_batch_size_sum')).toBe(9);
});
