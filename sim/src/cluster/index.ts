export { ClusterWorld, type ClusterWorldOptions, control, type Violation } from './cluster-world.ts';
export { type Fault, type FaultPlan, planFaults, schedule } from './faults.ts';
export { Fleet, type FleetMachine, type FleetOptions } from './fleet.ts';
export { type Invariant, safetyInvariants } from './invariants.ts';
export { SimLauncher } from './launcher.ts';
export type { Planted } from './planted.ts';
export { runSafety, type SafetyOptions, type SafetyResult } from './safety.ts';
