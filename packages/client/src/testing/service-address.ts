import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** An address that takes each new connection to whichever replica `target` says, as that of a Kubernetes Service does. */
export async function serviceAddress(target: () => string): Promise<AsyncDisposable & { readonly address: string }> {
  const sockets = new Set<Socket>();
  const join = (one: Socket, other: Socket): void => {
    sockets.add(one);
    one.pipe(other);
    one.on('error', () => other.destroy()).on('close', () => other.destroy());
  };
  const server = createServer((caller) => {
    const [host, port] = target().split(':');
    const replica = connect(Number(port), host);
    join(caller, replica);
    join(replica, caller);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
