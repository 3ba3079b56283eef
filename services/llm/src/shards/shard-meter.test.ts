import { Metrics } from '@tessera/service';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ShardMeter } from './shard-meter.js';

test('a shard says which one it is, and how much of the time it computes, from its first moment on', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const metrics = new Metrics();
  const values = async (name: string) =>
    (await metrics.registry.getSingleMetric(name)?.get())?.values.map(({ labels, value }) => ({ ...labels, value }));
  let busyMs = 700;
  const meter = new ShardMeter(metrics, { role: 'layers', part: '2' }, () => busyMs);
  expect(await values('tessera_shard_info')).toEqual([{ role: 'layers', part: '2', value: 1 }]);
  const told = async () => [await values('tessera_busy_ratio'), await values('tessera_busy_seconds_total')];
  const both = (ratio: number, seconds: number) => [ratio, seconds].map((value) => [{ stage: 'layers', value }]);
  expect(await told()).toEqual(both(0, 0));
  // What was computed before nobody looked for.
  busyMs += 2500;
  vi.advanceTimersByTime(5000);
  expect(await told()).toEqual(both(0.5, 2.5));
  busyMs += 1000;
  vi.advanceTimersByTime(5000);
  expect(await told()).toEqual(both(0.2, 3.5));
  // A clock may have been asked a little later than the other one.
  busyMs += 5001;
  vi.advanceTimersByTime(5000);
  expect((await told())[0]).toEqual([{ stage: 'layers', value: 1 }]);
  meter.stop();
  busyMs += 1000;
  vi.advanceTimersByTime(5000);
  expect((await told())[0]).toEqual([{ stage: 'layers', value: 1 }]);
});
