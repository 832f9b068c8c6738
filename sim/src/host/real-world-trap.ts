/**
 * While simulated code runs, the real world is out of bounds: clock, timers, chance, sockets, threads, and
 * whatever depends on the place a machine stands in. One stray Date.now makes a run that never replays. The
 * trap throws at whoever reaches for one, and tells the world, because the caller may swallow the throw.
 *
 * It is laid once and for good, into the functions themselves, and wakes only while a world runs: what it
 * costs asleep is one comparison a call, and nobody's compiled code is thrown away at each waking.
 */
import { syncBuiltinESMExports } from 'node:module';
import { type Chokepoint, chokepoints, type Keys } from './real-world.ts';

/** A reach past the Host seam; the stack shows whose. */
export class RealWorldAccess extends Error {
  readonly code = 'real-world-access';
  constructor(what: string) {
    super(
      `${what} was used inside the simulation. Take it from the Host (clock, random, net, http) instead, and sort and format without a locale.`,
    );
    this.name = 'RealWorldAccess';
  }
}

let isLaid = false;
/** Whoever is to be told; the trap is asleep while there is nobody. */
let onAccess: ((access: RealWorldAccess) => void) | undefined;

/** Wakes the trap; the returned function puts it to sleep again. */
export function setRealWorldTrap(listener: (access: RealWorldAccess) => void): () => void {
  if (!isLaid) lay();
  isLaid = true;
  onAccess = listener;
  return () => {
    onAccess = undefined;
  };
}

function spring(what: string): never {
  const access = new RealWorldAccess(what);
  onAccess!(access);
  throw access;
}

function lay(): void {
  for (const chokepoint of chokepoints()) {
    for (const key of keysOf(chokepoint.owner, chokepoint.keys)) layInto(chokepoint, key);
  }
  replace(globalThis, 'Date', trappedDate(Date));
  syncBuiltinESMExports();
}

function keysOf(owner: object, keys: Keys): readonly string[] {
  if (typeof keys !== 'function') return keys;
  return Object.getOwnPropertyNames(owner).filter(
    (key) => typeof Object.getOwnPropertyDescriptor(owner, key)?.value === 'function' && keys(key),
  );
}

function layInto({ owner, as, make }: Chokepoint, key: string): void {
  const original = Reflect.get(owner, key) as ((...args: unknown[]) => unknown) | undefined;
  if (original === undefined) return;
  const what = as === '' ? key : `${as}.${key}`;
  replace(owner, key, make === 'class' ? trappedClass(original, what) : trappedFunction(original, what));
}

function trappedFunction(original: (...args: unknown[]) => unknown, what: string) {
  const trapped = function (this: unknown, ...args: unknown[]): unknown {
    if (onAccess !== undefined) spring(what);
    return Reflect.apply(original, this, args);
  };
  // Its name, and what hangs on it: hrtime.bigint, the promisified twins of timers.
  const { prototype: _, ...own } = Object.getOwnPropertyDescriptors(original);
  return Object.defineProperties(trapped, own as PropertyDescriptorMap);
}

function trappedClass(original: object, what: string): object {
  return new Proxy(original, {
    construct: (target, args, newTarget) => {
      if (onAccess !== undefined) spring(what);
      return Reflect.construct(target as new (...args: unknown[]) => object, args, newTarget);
    },
    apply: (target, self, args) => {
      if (onAccess !== undefined) spring(what);
      return Reflect.apply(target as (...args: unknown[]) => unknown, self, args);
    },
  });
}

/** Dates as values (`new Date(ms)`, `Date.parse` of what names its zone) stay; the present and the place do not. */
function trappedDate(original: DateConstructor): DateConstructor {
  const now = original.now.bind(original);
  const trappedNow = () => (onAccess === undefined ? now() : spring('Date.now'));
  return new Proxy(original, {
    construct: (target, args, newTarget) => {
      if (onAccess !== undefined && args.length === 0) spring('new Date()');
      if (onAccess !== undefined && args.length > 1) spring('new Date() of local time');
      return Reflect.construct(target, args, newTarget);
    },
    apply: (target, self, args) => {
      if (onAccess !== undefined) spring('Date()');
      return Reflect.apply(target as unknown as () => string, self, args);
    },
    get: (target, key) => (key === 'now' ? trappedNow : Reflect.get(target, key)),
  });
}

function replace(owner: object, key: string, value: unknown): void {
  const own = Object.getOwnPropertyDescriptor(owner, key);
  Object.defineProperty(owner, key, {
    value,
    configurable: true,
    writable: true,
    enumerable: own?.enumerable ?? true,
  });
}
