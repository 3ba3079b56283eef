import { createHash } from 'node:crypto';
import { Bus, type ProductInbox, type ReceivedTensor } from '@tessera/bus';
import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { probeMedia } from '@tessera/media';
import { encodeQueue, Modality, TesseraError, visualTokens } from '@tessera/protocol';
import { describePicture } from '../prompts.js';
import type { Section } from '../report.js';
import { type Summary, summarise } from '../statistics.js';
import { Deployment } from '../subjects/deployment.js';
import { LocalPipeline } from '../subjects/local-pipeline.js';
import { AnswerClock } from '../subjects/timed-answer.js';
import type { Suite, SuiteContext } from './suite.js';

const deadlineAfterMs = 60_000;

/** One tile's way, milliseconds. */
interface TileTimes {
  readonly wholeMs: number;
  readonly encoderMs: number;
  readonly connectorMs: number;
  readonly queueMs: number;
}

/** From the encode job to the visual tokens, as gateway and LLM engine see it, and nothing else. */
async function throughBus(
  bus: Bus,
  inbox: ProductInbox<ReceivedTensor>,
  picture: Uint8Array,
  n: number,
): Promise<TileTimes> {
  const requestId = `bench-tile-${n}`;
  const deadlineMs = Date.now() + deadlineAfterMs;
  const stop = new AbortController();
  const { width, height } = await probeMedia(picture);
  const hold = bus.holdMedia(picture, createHash('sha256').update(picture).digest('hex'));
  const media = await hold.blob({ deadlineMs });
  const startedAt = performance.now();
  const key = { requestId, attempt: 1, item: 0 };
  const job = { key, media, modality: Modality.IMAGE, size: { width, height }, firstTile: 0, tileCount: 1 };
  const sent = bus.publish(encodeQueue, job, { deadlineMs, deliverTo: inbox.address });
  try {
    for await (const news of inbox.receive(requestId, stop.signal)) {
      if (news.kind === 'failure') throw new TesseraError(news.code, news.message);
      const wholeMs = performance.now() - startedAt;
      const busyOf = (stage: string) => news.timings.find((timing) => timing.stage === stage)?.busyMs ?? Number.NaN;
      const queueMs = news.timings.reduce((sum, timing) => sum + timing.queueMs, 0);
      return { wholeMs, encoderMs: busyOf('encoder'), connectorMs: busyOf('connector'), queueMs };
    }
    throw new TesseraError('INTERNAL', 'the stream of tokens ended');
  } finally {
    stop.abort();
    await sent;
    hold.release();
  }
}

/** What the way of one tile costs, without the gateway and the LLM. */
export const tile: Suite = {
  name: 'tile',
  about: 'one tile from its encode job to its visual tokens over NATS, against direct calls',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const bundle = await demoBundle('float32');
    await using local = await LocalPipeline.create(bundle);
    await using deployment = await Deployment.start(bundle);
    const bus = await Bus.connect({
      url: deployment.natsUrl,
      prefix: 'tessera',
      revision: bundle.manifest.revision,
      name: 'bench',
    });
    try {
      const inbox = await bus.openInbox(visualTokens);
      const { picture = new Uint8Array() } = describePicture;
      const planned = await local.plan(picture);
      const count = times(100);
      const warmUps = times(60);
      say(`tile: ${warmUps} pairs to warm up, ${count} pairs`);
      const direct: TileTimes[] = [];
      const distributed: TileTimes[] = [];
      for (let n = 0; n < warmUps + count; n++) {
        const clock = new AnswerClock();
        await local.visualTokens(planned, clock);
        const { marks, endMs } = clock.end();
        const encodedMs = marks.get('encoded') ?? Number.NaN;
        const through = await throughBus(bus, inbox, picture, n);
        if (n < warmUps) continue;
        direct.push({ wholeMs: endMs, encoderMs: encodedMs, connectorMs: endMs - encodedMs, queueMs: 0 });
        distributed.push(through);
      }
      const part = (title: string, of: (times: TileTimes) => number) => {
        const [one, other]: [Summary, Summary] = [summarise(direct.map(of)), summarise(distributed.map(of))];
        return [title, one.median, one.p90, other.median, other.p90];
      };
      return [
        {
          title: 'One tile through the stages',
          notes: [
            `From the encode job to the visual tokens, ${count} alternating pairs after ${warmUps}: direct calls in one thread, and over NATS`,
            'through the encoder and the connector. Milliseconds; the rest is hand-over: messages, threads, wake-ups.',
          ],
          columns: [
            { title: 'part' },
            { title: 'direct', digits: 2 },
            { title: 'p90', digits: 2 },
            { title: 'over NATS', digits: 2 },
            { title: 'p90', digits: 2 },
          ],
          rows: [
            part('encoder: decode, prepare, encode', ({ encoderMs }) => encoderMs),
            part('connector', ({ connectorMs }) => connectorMs),
            part('queues and waiting for a batch', ({ queueMs }) => queueMs),
            part(
              'the rest',
              ({ wholeMs, encoderMs, connectorMs, queueMs }) => wholeMs - encoderMs - connectorMs - queueMs,
            ),
            part('whole', ({ wholeMs }) => wholeMs),
          ],
        },
      ];
    } finally {
      await bus.close();
    }
  },
};
