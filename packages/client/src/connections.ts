import { type CallOpener, callOpener, createGrpcClient, type GrpcClient, tlsChannel } from '@tessera/grpc';
import { ChatServiceDefinition, TesseraError } from '@tessera/protocol';
import type { ConnectOptions } from './connect-options.js';

interface Connection extends GrpcClient<typeof ChatServiceDefinition> {
  calls: number;
}

/**
 * The connection that a client's calls go over. A gateway that drains refuses what comes, and its address may lead to others: the
 * next call makes a connection of its own, and calls that are under way end where they are.
 */
export class Connections {
  private current: Connection;
  private readonly left = new Set<Connection>();

  /** @throws TesseraError CONFIG_INVALID for certificates that cannot be used */
  constructor(
    private readonly address: string,
    private readonly options: ConnectOptions,
    private readonly defaultTimeoutMs: number,
  ) {
    this.current = this.open();
  }

  /** What the next call is made with. */
  get client(): GrpcClient<typeof ChatServiceDefinition>['client'] {
    return this.current.client;
  }

  /** Ends calls that are under way, too. */
  close(): void {
    for (const { channel } of [this.current, ...this.left]) channel.close();
  }

  private open(): Connection {
    const { tls, timeoutMs } = this.options;
    const open = callOpener(this.address, timeoutMs ?? this.defaultTimeoutMs);
    try {
      const settings = tls === undefined ? {} : tlsChannel(tls === true ? {} : tls);
      const counted = counting(open, (calls, error) => this.follow(connection, calls, error));
      const grpc = createGrpcClient(ChatServiceDefinition, this.address, { ...settings, apart: true }, counted);
      const connection: Connection = { ...grpc, calls: 0 };
      return connection;
    } catch (cause) {
      throw new TesseraError('CONFIG_INVALID', `no client for ${this.address}: ${(cause as Error).message}`, { cause });
    }
  }

  /** A call of it has begun or ended, or failed. */
  private follow(connection: Connection, calls: 1 | 0 | -1, error?: TesseraError): void {
    connection.calls += calls;
    if (error?.code === 'DRAINING' && connection === this.current) {
      this.left.add(connection);
      this.current = this.open();
    }
    if (connection.calls === 0 && this.left.delete(connection)) connection.channel.close();
  }
}

/** Tells of each call that it begins (1) and ends (-1), and of what it fails for (0). */
function counting(open: CallOpener, tell: (calls: 1 | 0 | -1, error?: TesseraError) => void): CallOpener {
  return (path, options) => {
    const call = open(path, options);
    tell(1);
    return {
      signal: call.signal,
      headers: call.headers,
      succeeded: () => call.succeeded(),
      failed(reason) {
        const error = call.failed(reason);
        tell(0, error);
        return error;
      },
      [Symbol.dispose]() {
        call[Symbol.dispose]();
        tell(-1);
      },
    };
  };
}
