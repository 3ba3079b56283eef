import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { listenError } from './listen-error.js';
import type { ReadinessReport } from './readiness.js';

export interface HttpServer {
  /** Such as `127.0.0.1:40002`. */
  readonly address: string;
  close(): Promise<void>;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly registry: Registry;
  /** Whether the service takes work. */
  askReady(): Promise<ReadinessReport>;
}

/**
 * Serves /metrics for Prometheus, /healthz (the process lives) and /readyz (it takes work).
 * @throws TesseraError CONFIG_INVALID if the address is taken or is not of this host
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    const path = (request.url ?? '').split('?')[0];
    request.resume();
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(response, 405, 'use GET\n');
    else if (path === '/metrics') void answerMetrics(response, options.registry);
    else if (path === '/healthz') answer(response, 200, 'ok\n');
    else if (path === '/readyz') void answerReady(response, options);
    else answer(response, 404, 'there is /metrics, /healthz and /readyz\n');
  });
  server.listen(options.port, options.host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw listenError('metrics', options, cause);
  }
  const { address, family, port } = server.address() as AddressInfo;
  return { address: family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`, close: () => close(server) };
}

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type }).end(body);
}

/** With what is waited for in the body. */
async function answerReady(response: ServerResponse, { askReady }: HttpServerOptions): Promise<void> {
  const { ready, text } = await askReady();
  answer(response, ready ? 200 : 503, `${text}\n`);
}

async function answerMetrics(response: ServerResponse, registry: Registry): Promise<void> {
  try {
    answer(response, 200, await registry.metrics(), registry.contentType);
  } catch (error) {
    answer(response, 500, `a metric cannot be collected: ${error instanceof Error ? error.message : error}\n`);
  }
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
