import type { Bundle } from '@tessera/bundle';
import { Bus, type BusLimits, type ReceivedTensor, type StageFailure } from '@tessera/bus';
import { linkedAbort } from '@tessera/flow';
import { startNatsServer } from '@tessera/nats-server';
import { visualTokens } from '@tessera/protocol';
import type { RunningService } from '@tessera/service';

/** Settings of a stage under test. */
interface GivenSettings {
  readonly 'model.dir': string;
  readonly 'nats.url': string;
  readonly 'log.level': 'silent';
}

/** A nats-server on which a stage is started, and its neighbours' side of the bus. Dispose of it with `await using`. */
export interface StageTestbed extends AsyncDisposable {
  readonly bus: Bus;
  /** The address of an engine that waits for visual tokens. */
  readonly engine: string;
  /** Aborts when the testbed is disposed of. */
  readonly signal: AbortSignal;
  /** Starts the stage; what is started is stopped with the testbed, if it was not before. */
  start(stage: (given: GivenSettings) => Promise<RunningService>): Promise<RunningService>;
  /** What comes first in the place of a request's tokens; may be asked again. */
  firstOutcome(requestId: string): Promise<ReceivedTensor | StageFailure | undefined>;
}

export async function stageTestbed(bundle: Bundle, limits: Partial<BusLimits> = {}): Promise<StageTestbed> {
  const nats = await startNatsServer();
  const { revision } = bundle.manifest;
  const bus = await Bus.connect({ url: nats.url, prefix: 'tessera', revision, name: 'test', limits });
  await bus.setup();
  const inbox = await bus.openInbox(visualTokens);
  const outcomes = new Map<string, Promise<ReceivedTensor | StageFailure | undefined>>();
  const stop = linkedAbort();
  const services: RunningService[] = [];
  return {
    bus,
    engine: inbox.address,
    signal: stop.signal,
    start: async (stage) => {
      const service = await stage({ 'model.dir': bundle.dir, 'nats.url': nats.url, 'log.level': 'silent' });
      services.push(service);
      return service;
    },
    firstOutcome: (requestId) => {
      const known = outcomes.get(requestId);
      if (known !== undefined) return known;
      const news = inbox.receive(requestId, stop.signal)[Symbol.asyncIterator]();
      const first = news.next().then(({ value }) => value as ReceivedTensor | StageFailure | undefined);
      outcomes.set(requestId, first);
      return first;
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all(services.map((service) => service.stop()));
      await bus.close();
      await nats.stop();
    },
  };
}
