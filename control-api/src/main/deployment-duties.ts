/** What the control API of a deployment does for its functions beside serving: it says that it lives, and takes orders. */
import { createApiClient } from '@skep/contract';
import type { Host } from '@skep/p2p-core/host';
import type { ControlApi } from '../control-api.ts';
import { Heartbeat } from '../heartbeat.ts';
import { Orders } from '../orders.ts';
import type { Store } from '../ports/store.ts';

export interface DeploymentDutiesOptions {
  readonly adminToken: string;
  readonly version: string;
  readonly onTrouble: (message: string) => void;
}

/** Of requests that never leave the process. */
const baseUrl = 'http://control-api.invalid';
const remote = { host: '127.0.0.1', port: 0 };

export class DeploymentDuties {
  readonly #heartbeat: Heartbeat;
  readonly #orders: Orders;

  constructor(
    { host: { clock }, store, api }: { host: Host; store: Store; api: ControlApi },
    { adminToken, version, onTrouble }: DeploymentDutiesOptions,
  ) {
    const client = createApiClient({
      baseUrl,
      token: adminToken,
      fetch: async (url, { method, headers, body }) =>
        api.handler(new Request(url, { method, headers, ...(body !== undefined && { body }) }), remote),
    });
    this.#heartbeat = new Heartbeat({ clock, store }, { version, onTrouble, onReturn: () => api.refresh() });
    this.#orders = new Orders({ clock, store, client }, { onTrouble });
  }

  start(): void {
    this.#heartbeat.start();
    this.#orders.start();
  }

  stop(): void {
    this.#heartbeat.stop();
    this.#orders.stop();
  }
}
