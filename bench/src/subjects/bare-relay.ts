import { setTimeout as delay } from 'node:timers/promises';
import { Helper } from '../processes/helper.js';
import { processorMs } from '../processes/processor-time.js';
import type { RelayCalls } from '../processes/relay-main.js';

/** A step of an engine whose batch is full takes about as long. */
const everyMs = 12;

/**
 * What the gateway's part of a token costs in Node's HTTP/2 alone: a process that reads a message from one stream and
 * writes it to another, for so many streams over one connection each, and does nothing else.
 * @returns processor time of that process, milliseconds a message
 */
export async function bareRelayMs(streams: number, steps: number): Promise<number> {
  using source = new Helper<RelayCalls>('relay');
  using relay = new Helper<RelayCalls>('relay');
  using sink = new Helper<RelayCalls>('relay');
  const port = await source.call('listen');
  const relayPort = await relay.call('listen');
  await relay.call('open', { port, streams });
  await sink.call('open', { port: relayPort, streams });
  await relay.call('relay');
  const messages = streams * steps;
  const before = processorMs(relay.pid);
  await source.call('write', { steps, everyMs });
  while ((await sink.call('received')) < messages) await delay(everyMs);
  return (processorMs(relay.pid) - before) / messages;
}
