import { describeStore } from '../ports/store-compliance.ts';
import { MemoryStore } from './memory.ts';

describeStore('MemoryStore', () => ({ store: new MemoryStore(), close: () => undefined }));
