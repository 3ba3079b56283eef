import { Metrics } from '@tessera/service';
import { expect, test } from 'vitest';
import type { BusObserver } from '../bus-options.js';
import { countedBy } from '../testing/counted-by.js';
import { allObservers, busMetrics } from './bus-metrics.js';

test('what happens on a bus is counted, time in seconds', async () => {
  const metrics = new Metrics();
  const observer = busMetrics(metrics);
  observer.connection?.('connected');
  // The first connection is none that came back.
  expect(await countedBy(metrics)).toMatchObject({ tessera_nats_connected: 1, tessera_nats_reconnects_total: 0 });
  observer.connection?.('disconnected');
  expect(await countedBy(metrics)).toMatchObject({ tessera_nats_connected: 0, tessera_nats_reconnects_total: 0 });
  observer.connection?.('connected');
  for (let n = 0; n < 2; n++) observer.queueFull?.('encode');
  observer.fullWaited?.('encode', 1500);
  observer.dropped?.('visual_tokens', 'stale');
  observer.unknownFields?.('encode');
  expect(await countedBy(metrics)).toEqual({
    tessera_nats_connected: 1,
    tessera_nats_reconnects_total: 1,
    'tessera_nats_full_total{kind="encode"}': 2,
    'tessera_nats_full_seconds_total{kind="encode"}': 1.5,
    'tessera_nats_dropped_total{reason="stale"}': 1,
    'tessera_unknown_fields_total{message="encode"}': 1,
  });
});

test('several observers are each told everything', () => {
  const words = {
    published: ['encode', 7],
    queueFull: ['encode'],
    fullWaited: ['encode', 9],
    received: ['visual_tokens', 8],
    jobStalled: ['encode'],
    jobEnded: ['encode', 'done', { queueMs: 1, busyMs: 2 }],
    unknownFields: ['encode'],
    dropped: ['visual_tokens', 'corrupt'],
    connection: ['disconnected'],
  } satisfies { [Event in keyof Required<BusObserver>]: Parameters<Required<BusObserver>[Event]> };
  const heard: unknown[][] = [];
  const names = Object.keys(words) as (keyof typeof words)[];
  const listening = (who: string) =>
    Object.fromEntries(names.map((name) => [name, (...what: unknown[]) => heard.push([who, name, ...what])]));
  const all = allObservers([listening('one'), undefined, {}, listening('other')]);
  for (const name of names) (all[name] as (...what: unknown[]) => void)(...words[name]);
  expect(heard).toEqual(names.flatMap((name) => ['one', 'other'].map((who) => [who, name, ...words[name]])));
});
