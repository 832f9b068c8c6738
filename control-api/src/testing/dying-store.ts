/** A store whose process dies in the middle of things: at a commit of one's choice, just before or just after it is made. */
import { type Store, StoreError, type Write } from '../ports/store.ts';

export interface Death {
  /** Which of the commits that `counts` is true of, from 1. */
  readonly at: number;
  readonly counts: (writes: readonly Write[]) => boolean;
  /** Whether the commit is made all the same. */
  readonly made: boolean;
}

/** From now on `store` is as for a process that dies so. Returns what tells whether it has, and what ends it. */
export function letDie(store: Store, { at, counts, made }: Death): { dead(): boolean; revive(): void } {
  const { get, list, commit } = store;
  let seen = 0;
  let dead = false;
  const unlessDead = () => {
    if (dead) throw new StoreError('nobody is there to ask');
  };
  store.get = async (key) => {
    unlessDead();
    return get.call(store, key);
  };
  store.list = async (prefix) => {
    unlessDead();
    return list.call(store, prefix);
  };
  store.commit = async (writes, events) => {
    unlessDead();
    if (counts(writes)) seen += 1;
    if (seen < at) return commit.call(store, writes, events);
    dead = true;
    if (made) await commit.call(store, writes, events);
    throw new StoreError('the process died');
  };
  return { dead: () => dead, revive: () => Object.assign(store, { get, list, commit }) };
}
