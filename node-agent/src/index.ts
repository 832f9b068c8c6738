export { type Agent, type AgentEnd, startAgent } from './agent.ts';
export { createLog, type Log } from './log.ts';
