/** A store whose every call waits at a gate, before it is carried out. */
import { MemoryStore, type Row, type Store, type Write } from '@skep/control-api';
import type { Gates } from './interleaving.ts';

export class GatedStore implements Store {
  readonly #gates: Gates;
  readonly #store = new MemoryStore();

  constructor(gates: Gates) {
    this.#gates = gates;
  }

  async get(key: string): Promise<Row | undefined> {
    await this.#gates.pass('get');
    return this.#store.get(key);
  }

  async list(prefix: string): Promise<readonly Row[]> {
    await this.#gates.pass('list rows');
    return this.#store.list(prefix);
  }

  async commit(writes: readonly Write[]): Promise<boolean> {
    await this.#gates.pass('commit');
    return this.#store.commit(writes);
  }
}
