export type { DiskOptions, SimDisk } from './disk.ts';
export type { RunOptions, RunResult } from './driver.ts';
export type { FabricOptions, Latency } from './fabric.ts';
export { RandomStream } from './random-stream.ts';
export { RealWorldAccess } from './real-world-trap.ts';
export type { CrashOptions, SimHost } from './sim-host.ts';
export type { SimHostOptions, SimWorldOptions } from './sim-world.ts';
export { SimWorld } from './sim-world.ts';
export type { TraceEntry, TraceKind } from './trace.ts';
