import { randomUUID } from 'node:crypto';
import { Bus, type BusLimits } from '@tessera/bus';
import { maxBytesOf } from '@tessera/protocol';

const mib = 1024 * 1024;

/** A bus on a prefix of its own, with streams so small that many fit one server. */
export async function testBus(url: string, limits: Partial<BusLimits> = {}): Promise<Bus> {
  const bus = await Bus.connect({
    url,
    prefix: `t-${randomUUID().slice(0, 8)}`,
    revision: 'r1',
    name: 'test',
    limits: {
      maxBytes: maxBytesOf(() => mib),
      maxTombstoneBytes: mib,
      ...limits,
    },
  });
  await bus.setup();
  return bus;
}
