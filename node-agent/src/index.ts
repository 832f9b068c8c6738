export { type Agent, startAgent } from './agent.ts';
export type { AgentEnd } from './ending.ts';
export { type Life, type LifeEnd, startLife } from './life.ts';
export { createLog, type Log } from './log.ts';
