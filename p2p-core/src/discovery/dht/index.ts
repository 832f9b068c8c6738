export { createDht, type Dht, type DhtOptions, type DhtStats } from './dht.ts';
export type { RepeatOptions } from './peer-search.ts';
export type { PeerStoreOptions } from './peer-store.ts';
export type { RateLimits } from './rate-limiter.ts';
