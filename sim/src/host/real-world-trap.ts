/**
 * While simulated code runs, the real clock, timers, chance and network are out of bounds: one stray
 * Date.now makes a run that never replays. The trap stands in for them, throws at whoever reaches for one,
 * and tells the world, because the caller may swallow the throw.
 */

type Restore = () => void;

/** A reach past the Host seam; the stack shows whose. */
export class RealWorldAccess extends Error {
  readonly code = 'real-world-access';
  constructor(what: string) {
    super(
      `${what} was used inside the simulation. Take it from the Host (clock, random, net, http) instead.`,
    );
    this.name = 'RealWorldAccess';
  }
}

const FUNCTIONS: readonly (readonly [object, string, string])[] = [
  [globalThis, 'setTimeout', 'setTimeout'],
  [globalThis, 'setInterval', 'setInterval'],
  [globalThis, 'setImmediate', 'setImmediate'],
  [globalThis, 'fetch', 'fetch'],
  [Math, 'random', 'Math.random'],
  [performance, 'now', 'performance.now'],
  [crypto, 'getRandomValues', 'crypto.getRandomValues'],
  [crypto, 'randomUUID', 'crypto.randomUUID'],
  [AbortSignal, 'timeout', 'AbortSignal.timeout'],
];

/** Sets the trap; the returned function takes it away again and leaves everything as it was. */
export function setRealWorldTrap(onAccess: (access: RealWorldAccess) => void): Restore {
  const spring = (what: string): never => {
    const access = new RealWorldAccess(what);
    onAccess(access);
    throw access;
  };
  const restores = FUNCTIONS.map(([owner, key, name]) => replace(owner, key, () => spring(name)));
  restores.push(replace(globalThis, 'Date', trappedDate(spring)));
  return () => {
    for (const restore of restores) restore();
  };
}

/** Dates as values (`new Date(ms)`, `Date.parse`) stay; only asking for the present is trapped. */
function trappedDate(spring: (what: string) => never): DateConstructor {
  const trappedNow = () => spring('Date.now');
  return new Proxy(Date, {
    construct: (target, args, newTarget) =>
      args.length === 0 ? spring('new Date()') : Reflect.construct(target, args, newTarget),
    apply: () => spring('Date()'),
    get: (target, key) => (key === 'now' ? trappedNow : Reflect.get(target, key)),
  });
}

function replace(owner: object, key: string, value: unknown): Restore {
  const own = Object.getOwnPropertyDescriptor(owner, key);
  Object.defineProperty(owner, key, { value, configurable: true, writable: true });
  return () => {
    if (own === undefined) Reflect.deleteProperty(owner, key);
    else Object.defineProperty(owner, key, own);
  };
}
