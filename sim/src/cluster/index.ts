export {
  ClusterWorld,
  type ClusterWorldOptions,
  type ControlOptions,
  type Violation,
} from './cluster-world.ts';
export { type Distribution, drawMs } from './distribution.ts';
export { type Course, type FaultPlan, type PlannedFault, planFaults, schedule } from './faults.ts';
export {
  Fleet,
  type FleetChange,
  type FleetMachine,
  type FleetOptions,
  fleetPresets,
} from './fleet.ts';
export { type ClusterFault, leaderNode, type SurroundingsFault } from './injection.ts';
export { type Finding, type Invariant, safetyInvariants } from './invariants.ts';
export { SimLauncher } from './launcher.ts';
export { allPlanted, type Planted } from './planted.ts';
export { runSafety, type SafetyOptions, type SafetyResult } from './safety.ts';
export {
  forSeeds,
  SharedContent,
  Simulation,
  SimulationFailure,
  type SimulationOptions,
  simulate,
} from './simulate.ts';
