/** CDK constructs of Skep: a whole deployment is a `Cluster`; its parts can be used one by one. */
export { Cluster, type ClusterProps } from './cluster.ts';
export { ClusterSpec } from './cluster-spec.ts';
export type { Architecture } from './container-host.ts';
export type { DomainProps } from './control-door.ts';
export { ControlPlane, type ControlPlaneProps } from './control-plane.ts';
export { ControlState } from './control-state.ts';
export { type FunctionName, Functions, type FunctionsProps } from './functions.ts';
export { ImageBuilder, type ImageBuilderProps } from './image-builder.ts';
export { MachineEvents } from './machine-events.ts';
export {
  type INetwork,
  Network,
  type NetworkAttributes,
  type NetworkProps,
  type NodeSubnet,
} from './network.ts';
export { NodeFleet, type NodeFleetProps, type NodeRole } from './node-fleet.ts';
export { Watchdog, type WatchdogProps } from './watchdog.ts';
