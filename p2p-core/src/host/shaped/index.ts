/** ShapedHost: any Host, made worse than it is by Conditions that may change at any time. */
import type { Conditions } from '../conditions.ts';
import type { Clock, Compute, Files, Host, Http, Network, Payload, Random, Timer } from '../host.ts';
import { ShapedHttp } from './http.ts';
import { ShapedNetwork } from './network.ts';
import { Shape } from './shape.ts';
import { ShapedFiles, ShapedPayload } from './storage.ts';

/**
 * Decorates `host`. All time and chance are the inner Host's, so that over a simulated one a run replays
 * exactly; without conditions everything passes by.
 */
export class ShapedHost implements Host {
  readonly clock: Clock;
  readonly random: Random;
  readonly net: Network;
  readonly http: Http;
  readonly files: Files;
  readonly payload: Payload;
  readonly compute: Compute;
  readonly #shape: Shape;

  /** Throws RangeError as `setConditions` does. */
  constructor(host: Host, conditions: Conditions = {}) {
    const shape = new Shape(host);
    this.#shape = shape;
    this.clock = new ShapedClock(host.clock, shape);
    this.random = host.random;
    this.net = new ShapedNetwork({ net: host.net, shape });
    this.http = new ShapedHttp({ http: host.http, net: host.net, shape });
    this.files = new ShapedFiles({ files: host.files, disk: shape.disk });
    this.payload = new ShapedPayload({ payload: host.payload, disk: shape.disk });
    this.compute = host.compute;
    shape.set(conditions);
  }

  /**
   * From now on these hold and no others, for open connections too; what the network or disk beneath has
   * taken already is on its way. Throws RangeError, changing nothing, at a number that cannot be.
   */
  setConditions(conditions: Conditions): void {
    this.#shape.set(conditions);
  }
}

class ShapedClock implements Clock {
  readonly #clock: Clock;
  readonly #shape: Shape;

  constructor(clock: Clock, shape: Shape) {
    this.#clock = clock;
    this.#shape = shape;
  }

  now(): number {
    return this.#clock.now();
  }

  wallTime(): number {
    return this.#clock.wallTime() + this.#shape.skewMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#clock.setTimer(delayMs, callback);
  }
}
