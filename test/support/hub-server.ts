import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface HubRepository {
  /** Content by path. */
  files: Record<string, Buffer>;
  /** Status of every answer: 401 for a gated repository. */
  status?: number;
}

const commit = 'c0ffee'.padEnd(40, '0');
/** Files of at least this size are stored in LFS, as on the real hub. */
const largeBytes = 10_000;

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');
const gitSha1 = (content: Buffer) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

/** The hub's HTTP routes that downloads use. Tests can cut off and damage transfers. */
export class HubServer {
  readonly repositories: Record<string, HubRepository>;
  /** Paths of the requested files, with the first requested byte. */
  readonly asked: { path: string; from: number }[] = [];
  /** A transfer is cut off after this many bytes; null: never. */
  cutAfterBytes: number | null = null;
  /** Called when a file is requested. */
  onFile: (path: string) => void = () => {};
  /** Flips a bit of this file's content. */
  damaged: string | null = null;
  url = '';

  private constructor(repositories: Record<string, HubRepository>) {
    this.repositories = repositories;
  }

  static async start(repositories: Record<string, HubRepository>): Promise<HubServer> {
    const hub = new HubServer(repositories);
    const server = createServer((request, response) => hub.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return hub;
  }

  static readonly commit = commit;

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url!, 'http://hub');
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(pathname);
    const [, repo, path] = /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/(.+)$/.exec(pathname) ?? [];
    const repository = this.repositories[api?.[1] ?? repo ?? ''];
    const isKnown = api?.[2] !== 'revision' || ['main', 'v1', commit].includes(api[3]!);
    if (!repository || !isKnown) fail(response, 404);
    else if (repository.status !== undefined) fail(response, repository.status);
    else if (path !== undefined) this.#file(request, response, path, repository.files[path]);
    else if (api?.[2] === 'tree') json(response, Object.entries(repository.files).map(entry));
    else
      json(response, {
        _id: '1',
        id: api![1],
        sha: commit,
        private: false,
        gated: false,
        downloads: 0,
        likes: 0,
      });
  }

  #file(request: IncomingMessage, response: ServerResponse, path: string, content?: Buffer): void {
    if (!content) {
      fail(response, 404);
      return;
    }
    const [, start = '0', end] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const from = Number(start);
    const to = end ? Number(end) + 1 : content.length;
    if (request.headers.range !== 'bytes=0-0') {
      this.asked.push({ path, from });
      this.onFile(path);
    }
    const sent = Buffer.from(content.subarray(from, to));
    if (this.damaged === path && to > 1) sent[sent.length - 1]! ^= 1;
    response.writeHead(request.headers.range ? 206 : 200, {
      etag: `"${gitSha1(content)}"`,
      'content-length': sent.length,
      'content-range': `bytes ${from}-${to - 1}/${content.length}`,
    });
    const { cutAfterBytes } = this;
    if (cutAfterBytes === null || sent.length <= cutAfterBytes) response.end(sent);
    else response.write(sent.subarray(0, cutAfterBytes), () => setTimeout(() => response.destroy(), 20));
  }
}

function entry([path, content]: [string, Buffer]) {
  const oid = gitSha1(content);
  const lfs = { oid: sha256(content), size: content.length, pointerSize: 130 };
  return { type: 'file', path, oid, size: content.length, ...(content.length >= largeBytes ? { lfs } : {}) };
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function fail(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end('{"error":"refused"}');
}
