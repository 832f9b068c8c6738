/** What the control API of a deployment does for its functions beside serving: it says that it lives, and takes orders. */
import type { Host } from '@skep/p2p-core/host';
import type { ControlApi } from '../control-api.ts';
import { Heartbeat } from '../heartbeat.ts';
import { Orders } from '../orders.ts';
import type { Store } from '../ports/store.ts';
import { clientWithin } from './client-within.ts';

export interface DeploymentDutiesOptions {
  readonly adminToken: string;
  readonly version: string;
  readonly onTrouble: (message: string) => void;
}

export class DeploymentDuties {
  readonly #heartbeat: Heartbeat;
  readonly #orders: Orders;

  constructor(
    { host: { clock }, store, api }: { host: Host; store: Store; api: ControlApi },
    { adminToken, version, onTrouble }: DeploymentDutiesOptions,
  ) {
    const client = clientWithin(api, adminToken);
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
