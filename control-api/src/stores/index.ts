/** Where a control API keeps its state. */
export { MemoryStore } from './memory.ts';
export { SqliteStore } from './sqlite.ts';
