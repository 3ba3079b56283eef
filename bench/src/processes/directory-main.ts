import { Bus, type BusOptions, type EngineDirectory } from '@tessera/bus';
import { answerCalls } from './answer-calls.js';

const directories: EngineDirectory[] = [];

/** What gateways do for as long as nobody asks them anything: they listen to the engines. */
const calls = {
  async start({
    bus,
    gateways,
  }: {
    bus: Pick<BusOptions, 'url' | 'prefix' | 'revision'>;
    gateways: number;
  }): Promise<void> {
    for (let n = 0; n < gateways; n++) {
      const connection = await Bus.connect({ ...bus, name: 'bench gateway' });
      directories.push(connection.watchEngines(new AbortController().signal));
    }
  },

  /** The fewest engines that one of them knows. */
  async known(): Promise<number> {
    return Math.min(...directories.map(({ size }) => size));
  },
};

export type DirectoryCalls = typeof calls;

answerCalls(calls);
