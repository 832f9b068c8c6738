/** NodeHost: the Host of a real machine, on Node's sockets, files, threads and fetch. */
import { availableParallelism } from 'node:os';
import * as tls from 'node:tls';
import type { ContentLayout, Host, Http, Payload } from '../host.ts';
import { PiecePool, ReadBuffers } from './buffers.ts';
import { type Guard, NodeClock, nodeCompute, nodeRandom } from './clock.ts';
import { type ContentContext, NodeContent } from './content.ts';
import { NodeFiles } from './files.ts';
import { fetchUrl } from './http-client.ts';
import { serveHttp } from './http-server.ts';
import { NodeNetwork } from './network.ts';
import { OpenFiles } from './open-files.ts';
import type { TcpContext } from './tcp.ts';
import { WorkerPool } from './worker-pool.ts';

export interface NodeHostOptions {
  /** Told what a callback threw. By default it is thrown on as an uncaught exception, which ends the process. */
  readonly onUncaught?: (error: unknown) => void;
  /** Threads that hash and write. @default as many as the machine runs at once */
  readonly workers?: number;
  /**
   * IP literal of this machine that outgoing TCP connections come from, where the remote is of its family. On
   * Linux any of 127.0.0.0/8 will do, so that processes of one machine can be told apart.
   * @default as the system routes
   */
  readonly outgoingHost?: string;
  /**
   * Certificates in PEM that servers are trusted by, and no others. Node has one list of them: this sets that of the
   * whole process, for all its Hosts.
   * @default those that Node ships
   */
  readonly trustedCertificates?: readonly string[];
}

export interface NodeHost extends Host {
  /** Ends connections, listeners, servers and threads, and closes every file; nothing of the Host stays alive. */
  close(): Promise<void>;
}

/** A Host of this machine. It keeps the process alive only by sockets, servers, timers and work under way. */
export function createNodeHost(options: NodeHostOptions = {}): NodeHost {
  const report = options.onUncaught ?? throwLater;
  if (options.trustedCertificates !== undefined)
    tls.setDefaultCACertificates([...options.trustedCertificates]);
  const guard: Guard = (callback) => {
    try {
      callback();
    } catch (error) {
      report(error);
    }
  };
  const sockets: TcpContext = {
    buffers: new ReadBuffers(),
    guard,
    report,
    open: new Set(),
    outgoingHost: options.outgoingHost,
  };
  const storage: ContentContext = {
    openFiles: new OpenFiles(),
    workers: new WorkerPool(Math.max(1, options.workers ?? availableParallelism())),
    contents: new Set(),
  };
  const pieces = new PiecePool();
  const servers = new Set<{ close(): Promise<void> }>();

  const http: Http = {
    fetch: fetchUrl,
    async serve(local, handler, options) {
      const server = await serveHttp(local, handler, report, options);
      servers.add(server);
      const close = (): Promise<void> => {
        servers.delete(server);
        return server.close();
      };
      return { local: server.local, close };
    },
  };
  const payload: Payload = {
    openContent: async (layout: ContentLayout) => new NodeContent(storage, layout),
    allocatePiece: (length) => pieces.allocate(length),
  };

  return {
    clock: new NodeClock(guard),
    random: nodeRandom,
    net: new NodeNetwork(sockets),
    http,
    files: new NodeFiles(),
    payload,
    compute: nodeCompute,
    async close() {
      for (const entry of [...sockets.open]) entry.destroy();
      await Promise.all([...servers].map((server) => server.close()));
      await storage.workers.close();
      await Promise.all([...storage.contents].map((content) => content.close()));
    },
  };
}

/** Out of the stack that it was caught in, where it would break what it must not. */
function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
