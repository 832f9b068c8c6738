/** A control API on memory and virtual time, with pretended agents that speak to it as real ones do. */
import {
  type AgentEvent,
  type ApiClient,
  createApiClient,
  type Report,
  type SelfTestReport,
} from '@skep/contract';
import { type ControlApi, type ControlApiOptions, createControlApi } from '../control-api.ts';
import type { LaunchRequest } from '../ports/launcher.ts';
import { MemoryStore } from '../stores/memory.ts';
import { MemoryLauncher } from './memory-launcher.ts';
import { createVirtualHost } from './virtual-host.ts';

export const adminToken = 'admin-token-of-the-tests';
export const viewerToken = 'viewer-token-of-the-tests';
const remote = { host: '127.0.0.1', port: 1 };

export async function createWorld(seed = 1, options: Partial<ControlApiOptions> = {}) {
  const virtual = createVirtualHost(seed);
  const store = new MemoryStore();
  const launcher = new MemoryLauncher();
  const troubles: string[] = [];
  const start = async (): Promise<ControlApi> => {
    const api = await createControlApi(
      { host: virtual.host, store, journal: store, launcher },
      {
        adminToken,
        viewerToken,
        version: '1.2.3',
        baseUrl: () => 'http://10.9.9.9',
        masterSecret: new Uint8Array(32).fill(7),
        onTrouble: (message) => troubles.push(message),
        ...options,
      },
    );
    await api.start();
    return api;
  };
  const world = {
    ...virtual,
    store,
    launcher,
    troubles,
    api: await start(),
    /** A request as a raw Response. */
    async request(method: string, path: string, options: { token?: string; body?: string } = {}) {
      const { token, body } = options;
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const request = new Request(`http://10.9.9.9${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
      });
      return world.api.handler(request, remote);
    },
    client(token: string): ApiClient {
      return createApiClient({
        baseUrl: 'http://10.9.9.9',
        token,
        fetch: async (url, { method, headers, body, signal }) =>
          world.api.handler(
            new Request(url, {
              method,
              headers,
              ...(body === undefined ? {} : { body }),
              ...(signal === undefined ? {} : { signal }),
            }),
            remote,
          ),
      });
    },
    /** Ends the control API as kill -9 would, for all that the store knows, and starts it anew. */
    async restart(downMs = 0) {
      await Promise.all([world.api.stop(), virtual.advance(1_500)]);
      await virtual.advance(downMs);
      world.api = await start();
    },
    /** The agent of the machine that lives in a slot, once there is one. */
    async agent(slot: string): Promise<PretendedAgent> {
      await virtual.until(() => launcher.living(slot) !== undefined);
      return new PretendedAgent(world, launcher.living(slot)!);
    },
    async nodes(cluster: string) {
      return world.client(viewerToken).listNodes({ params: { cluster } });
    },
    async node(cluster: string, slot: string) {
      return (await world.nodes(cluster)).find((node) => node.slot === slot)!;
    },
    async kinds(cluster: string) {
      const events = await world
        .client(viewerToken)
        .listEvents({ params: { cluster }, query: { limit: 1_000 } });
      return events.map((event) =>
        `${event.kind} ${event.slot ?? ''}${event.generation ? `@${event.generation}` : ''}`.trim(),
      );
    },
  };
  return world;
}

export type World = Awaited<ReturnType<typeof createWorld>>;

export class PretendedAgent {
  readonly launched: LaunchRequest;
  readonly client: ApiClient;
  readonly token: string;
  readonly #world: World;
  revision = '';

  constructor(world: World, launched: LaunchRequest) {
    this.#world = world;
    this.launched = launched;
    // Of its own for each machine that a process comes to be.
    this.token = `token-of-${launched.config.joinSecret}`;
    this.client = world.client(this.token);
  }

  get id() {
    const { slot, generation } = this.launched.config;
    return { slot, generation };
  }

  async join(token = this.token, runningMs?: number) {
    const { cluster, attempt, joinSecret } = this.launched.config;
    const bytes = this.#world.host.compute.hash('sha256', new TextEncoder().encode(token));
    const tokenSha256 = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    return this.client.join({
      params: { cluster },
      body: {
        machine: this.id,
        attempt,
        joinSecret,
        tokenSha256,
        ...(runningMs === undefined ? {} : { runningMs }),
      },
    });
  }

  async report(
    state: Report['state'] = 'serving',
    options: {
      waitMs?: number;
      events?: AgentEvent[];
      term?: number;
      ringVersion?: number;
      selfTest?: SelfTestReport;
    } = {},
  ) {
    const { cluster, attempt } = this.launched.config;
    const answer = await this.client.report({
      params: { cluster },
      body: {
        machine: this.id,
        attempt,
        state,
        lamport: 1,
        revision: this.revision,
        waitMs: options.waitMs ?? 0,
        dhtNodes: 1,
        torrents: [],
        events: options.events ?? [],
        ...(options.selfTest === undefined ? {} : { selfTest: options.selfTest }),
        ...(options.term === undefined
          ? {}
          : {
              ring: {
                role: 'follower',
                term: options.term,
                configurationVersion: options.ringVersion ?? 1,
                dead: [],
              },
            }),
      },
    });
    this.revision = answer.revision;
    return answer;
  }

  async serve() {
    await this.join();
    await this.report('serving');
    return this;
  }

  acquire(term: number) {
    const { cluster } = this.launched.config;
    return this.client.requestLease({
      params: { cluster },
      body: { action: 'acquire', holder: this.id, term },
    });
  }

  /** `silentMs`: of a silence, how long it has lasted; else there is evidence. */
  redeploy(slot: string, generation: number, term: number, silentMs?: number) {
    const { cluster } = this.launched.config;
    const why = silentMs === undefined ? {} : { cause: 'silence' as const, silentMs };
    return this.client.requestRedeployment({
      params: { cluster },
      body: { slot: slot as 'peer-1', generation, term, reason: 'silent', ...why },
    });
  }
}
