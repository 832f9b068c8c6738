export { type Agent, type AgentEnd, startAgent } from './agent.ts';
export { type Life, type LifeEnd, startLife } from './life.ts';
export { createLog, type Log } from './log.ts';
