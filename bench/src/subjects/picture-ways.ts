import { once } from 'node:events';
import { connect } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import type { Bus, ProductInbox, ReceivedTensor } from '@tessera/bus';
import { type DrawingEvent, drawingEvents, TesseraError, visualTokens } from '@tessera/protocol';
import type { ConnectorCalls, Sent } from '../processes/connector-main.js';
import type { Helper } from '../processes/helper.js';
import {
  chunkBytes,
  chunksPath,
  chunksPerPicture,
  tileShape,
  tilesPerPicture,
  tileValue,
} from '../processes/picture-shape.js';

/** Requests whose ways are open at one time: more than their stream holds pictures. */
const openAtOnce = 16;

/** How many bytes there must be. @throws TesseraError when there are others */
function checkBytes(got: number, pictures: number): void {
  const wanted = pictures * chunksPerPicture * chunkBytes;
  if (got !== wanted) throw new TesseraError('INTERNAL', `${got} bytes arrived, not ${wanted}`);
}

/** Awaits both ends; when one fails the other is not waited for. */
async function bothEnds<T>(sending: Promise<T>, receiving: Promise<void>): Promise<T> {
  const [sent] = await Promise.all([sending, receiving]);
  return sent;
}

let serial = 0;
function requestIdsOf(count: number): string[] {
  return Array.from({ length: count }, () => `picture-${serial++}`);
}

/** The ways by which pictures go from the connector's process to this one. */
export class PictureWays {
  private constructor(
    private readonly connector: Helper<ConnectorCalls>,
    private readonly ports: { readonly tcp: number; readonly grpc: number },
    private readonly tokens: ProductInbox<ReceivedTensor>,
    private readonly drawings: ProductInbox<DrawingEvent>,
  ) {}

  static async open(bus: Bus, connector: Helper<ConnectorCalls>, ports: { tcp: number; grpc: number }) {
    return new PictureWays(connector, ports, await bus.openInbox(visualTokens), await bus.openInbox(drawingEvents));
  }

  /**
   * As visual tokens to an engine's inbox.
   * @param onPicture called after each picture, before anything else is taken
   */
  async throughBus(pictures: number, onPicture: () => void = () => {}): Promise<Sent> {
    const requestIds = requestIdsOf(pictures);
    const waiting = requestIds.values();
    const receiving = Array.from({ length: openAtOnce }, async () => {
      for (const requestId of waiting) {
        await this.receiveTokens(requestId);
        onPicture();
      }
    });
    const sending = this.connector.call('sendTokens', { address: this.tokens.address, requestIds });
    return await bothEnds(
      sending,
      Promise.all(receiving).then(() => {}),
    );
  }

  /** The same bytes as parts of finished drawings to a gateway's inbox: the same machinery, but for the tensors. */
  async throughBusAsBytes(pictures: number): Promise<Sent> {
    const requestIds = requestIdsOf(pictures);
    let bytes = 0;
    const receiving = requestIds.map(async (requestId) => {
      for await (const event of this.drawings.receive(requestId, AbortSignal.timeout(10 * 60_000))) {
        if ('code' in event) throw new TesseraError('INTERNAL', event.message);
        if (event.event?.$case !== 'picturePart') continue;
        bytes += event.event.value.data.length;
        if (event.event.value.last) return;
      }
    });
    const sending = this.connector.call('sendDrawings', { address: this.drawings.address, requestIds });
    const sent = await bothEnds(
      sending,
      Promise.all(receiving).then(() => {}),
    );
    checkBytes(bytes, pictures);
    return sent;
  }

  async overTcp(pictures: number): Promise<void> {
    const socket = connect(this.ports.tcp, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(String(pictures * chunksPerPicture));
    let bytes = 0;
    for await (const data of socket) bytes += (data as Buffer).length;
    checkBytes(bytes, pictures);
  }

  async overGrpc(pictures: number): Promise<void> {
    const client = new Client(`127.0.0.1:${this.ports.grpc}`, credentials.createInsecure());
    const asIs = (bytes: Buffer): Buffer => bytes;
    const count = Buffer.from(String(pictures * chunksPerPicture));
    let bytes = 0;
    for await (const data of client.makeServerStreamRequest(chunksPath, asIs, asIs, count)) {
      bytes += (data as Buffer).length;
    }
    client.close();
    checkBytes(bytes, pictures);
  }

  private async receiveTokens(requestId: string): Promise<void> {
    const stop = new AbortController();
    let missing = tilesPerPicture;
    for await (const news of this.tokens.receive(requestId, stop.signal)) {
      if (news.kind === 'failure') throw new TesseraError(news.code, news.message);
      const { data, shape } = news.tensor;
      const ends = [0, data.length - 1];
      if (shape.join() !== tileShape.join() || ends.some((at) => data[at] !== tileValue(news.tile, at))) {
        throw new TesseraError('INTERNAL', `tile ${news.tile} of ${requestId} is not what was sent`);
      }
      if (--missing === 0) return;
    }
  }
}
