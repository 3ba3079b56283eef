import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What goes wrong with one answer. */
export interface Fault {
  /** Answers so, and nothing else. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** What it answers with beside a status. */
  readonly body?: string;
  /** The connection is cut after so many bytes of the body. */
  readonly cutAfter?: number;
  /** So many bytes of the body are sent, and nothing more, until the server stops; -1 holds back the headers, too. */
  readonly stallAfter?: number;
  /** One bit of the body is another. */
  readonly flip?: boolean;
  /** The range that is asked for is passed over. */
  readonly noRange?: boolean;
}

export interface SeenRequest {
  readonly server: 'hub' | 'store';
  readonly path: string;
  readonly range?: string;
  readonly authorization?: string;
}

export interface HubServerOptions {
  readonly repository: string;
  readonly files: Readonly<Record<string, Buffer>>;
  /** Who may read; without it everybody. */
  readonly token?: string;
  readonly isGated?: boolean;
  /** Files of so many bytes and more are in the store. */
  readonly lfsFrom?: number;
  readonly pageSize?: number;
  /** Decides what goes wrong. */
  readonly fault?: (request: SeenRequest) => Fault | undefined;
  /** Puts entries into the listing that no honest one has. */
  readonly entries?: readonly object[];
}

/** Weights are hashed once, however often they are asked for. */
const known = new WeakMap<Buffer, Map<string, string>>();

function sha(algorithm: string, content: Buffer): string {
  const hashes = known.get(content) ?? new Map<string, string>();
  known.set(content, hashes);
  const found = hashes.get(algorithm) ?? createHash(algorithm).update(content).digest('hex');
  hashes.set(algorithm, found);
  return found;
}

export function gitHash(content: Buffer): string {
  return sha('sha1', Buffer.concat([Buffer.from(`blob ${content.length}\0`), content]));
}

/**
 * A hub with one model on its only branch, main: the routes that a download takes, on one port, and the store that large files
 * are redirected to on another. As the real store, it refuses a request that brings a token.
 */
export class HubServer implements AsyncDisposable {
  readonly requests: SeenRequest[] = [];
  readonly commit: string;

  private constructor(
    private readonly options: HubServerOptions,
    private readonly hub: Server,
    private readonly store: Server,
  ) {
    this.commit = sha(
      'sha1',
      Buffer.from(
        Object.entries(options.files)
          .map(([path, content]) => `${path} ${gitHash(content)}`)
          .join('\n'),
      ),
    );
    hub.on('request', (request, response) => this.answer('hub', request, response));
    store.on('request', (request, response) => this.answer('store', request, response));
  }

  static async start(options: HubServerOptions): Promise<HubServer> {
    const [hub, store] = await Promise.all([listen(), listen()]);
    return new HubServer(options, hub, store);
  }

  get endpoint(): string {
    return `http://127.0.0.1:${portOf(this.hub)}`;
  }

  /** Those of whole or partial files, as `store` and the path in the repository. */
  downloads(path: string): SeenRequest[] {
    const content = this.options.files[path] as Buffer;
    return this.requests.filter(
      (each) =>
        (each.server === 'store' && each.path === `/${sha('sha256', content)}`) ||
        each.path.endsWith(`/${this.commit}/${path}`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [this.hub, this.store].map((server) => {
        server.closeAllConnections();
        return new Promise((resolve) => server.close(resolve));
      }),
    );
  }

  private answer(server: 'hub' | 'store', request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://hub');
    const seen: SeenRequest = {
      server,
      path: decodeURIComponent(url.pathname),
      range: request.headers.range,
      authorization: request.headers.authorization,
    };
    this.requests.push(seen);
    const fault = this.options.fault?.(seen) ?? {};
    if (fault.stallAfter === -1) return;
    if (fault.status !== undefined) {
      response.writeHead(fault.status, fault.headers).end(fault.body ?? '{"error":"as the test asks"}');
      return;
    }
    if (server === 'store') this.fromStore(seen, response, fault);
    else this.fromHub(seen, url, response, fault);
  }

  private fromHub(seen: SeenRequest, url: URL, response: ServerResponse, fault: Fault): unknown {
    const { repository, token, isGated, pageSize = 1000 } = this.options;
    const refuse = (status: number, code: string) =>
      response.writeHead(status, { 'x-error-code': code, 'content-type': 'application/json' }).end('{}');
    const isAllowed = token === undefined || seen.authorization === `Bearer ${token}`;
    const below = (prefix: string): string | undefined =>
      seen.path.startsWith(prefix) ? seen.path.slice(prefix.length) : undefined;
    const api = below(`/api/models/${repository}/`);
    const resolved = below(`/${repository}/resolve/`);
    if (api === undefined && resolved === undefined) return refuse(isAllowed ? 404 : 401, 'RepoNotFound');
    if (!isAllowed)
      return refuse(isGated ? (seen.authorization ? 403 : 401) : 401, isGated ? 'GatedRepo' : 'RepoNotFound');
    if (api?.startsWith('revision/')) {
      if (!['main', 'HEAD', this.commit].includes(api.slice(9))) return refuse(404, 'RevisionNotFound');
      const info = { _id: '1', id: repository, sha: this.commit, private: false, gated: false, downloads: 0, likes: 0 };
      return this.send(response, seen, fault, Buffer.from(JSON.stringify(info)), {
        'content-type': 'application/json',
      });
    }
    if (api !== undefined) {
      const folder = api.replace(/^tree\/[^/]+\/?/, '');
      const from = Number(url.searchParams.get('cursor') ?? 0);
      const entries = this.listing(folder);
      const next = new URL(url.pathname, this.endpoint);
      next.searchParams.set('cursor', String(from + pageSize));
      const link: Record<string, string> =
        from + pageSize < entries.length ? { link: `<${next.href}>; rel="next"` } : {};
      const page = Buffer.from(JSON.stringify(entries.slice(from, from + pageSize)));
      return this.send(response, seen, fault, page, { 'content-type': 'application/json', ...link });
    }
    const path = String(resolved).replace(/^[^/]+\//, '');
    const content = this.options.files[path];
    if (content === undefined) return refuse(404, 'EntryNotFound');
    if (!this.isLarge(content)) {
      this.send(response, seen, fault, content, { etag: `"${gitHash(content)}"`, 'x-repo-commit': this.commit });
      return;
    }
    const digest = sha('sha256', content);
    response
      .writeHead(302, {
        location: `http://127.0.0.1:${portOf(this.store)}/${digest}?signature=of-the-test`,
        'x-repo-commit': this.commit,
        'x-linked-etag': `"${digest}"`,
        'x-linked-size': content.length,
      })
      .end();
  }

  private fromStore(seen: SeenRequest, response: ServerResponse, fault: Fault): void {
    const content = Object.values(this.options.files).find((each) => `/${sha('sha256', each)}` === seen.path);
    if (content === undefined || seen.authorization !== undefined) {
      response.writeHead(400).end();
      return;
    }
    this.send(response, seen, fault, content, {});
  }

  private send(
    response: ServerResponse,
    { range }: SeenRequest,
    { cutAfter, stallAfter, flip, noRange }: Fault,
    content: Buffer,
    headers: Readonly<Record<string, string>>,
  ): void {
    const first = noRange ? undefined : /^bytes=(\d+)-$/.exec(range ?? '')?.[1];
    const body = Buffer.from(content.subarray(Number(first ?? 0)));
    if (flip && body.length > 0) body[body.length >> 1] = (body[body.length >> 1] as number) ^ 1;
    const part =
      first === undefined ? {} : { 'content-range': `bytes ${first}-${content.length - 1}/${content.length}` };
    response.writeHead(first === undefined ? 200 : 206, { ...headers, ...part, 'content-length': body.length });
    if (cutAfter !== undefined) response.write(body.subarray(0, cutAfter), () => response.destroy());
    else if (stallAfter !== undefined) response.write(body.subarray(0, stallAfter));
    else response.end(body);
  }

  private isLarge(content: Buffer): boolean {
    return content.length >= (this.options.lfsFrom ?? 1024);
  }

  private listing(folder: string): object[] {
    const files = Object.entries(this.options.files)
      .filter(([path]) => path.slice(0, Math.max(0, path.lastIndexOf('/'))) === folder)
      .map(([path, content]) => ({
        type: 'file',
        path,
        size: content.length,
        oid: this.isLarge(content) ? gitHash(Buffer.from('a pointer')) : gitHash(content),
        ...(this.isLarge(content)
          ? { lfs: { oid: sha('sha256', content), size: content.length, pointerSize: 134 } }
          : {}),
      }));
    const below = Object.keys(this.options.files).flatMap((path) => {
      const inside = folder === '' ? path : path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : '';
      return inside.includes('/') ? [path.slice(0, path.length - inside.length + inside.indexOf('/'))] : [];
    });
    const folders = [...new Set(below)].map((path) => ({
      type: 'directory',
      path,
      size: 0,
      oid: gitHash(Buffer.from(path)),
    }));
    return [...folders, ...files, ...(this.options.entries ?? [])];
  }
}

async function listen(): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
