export { runInSim, type SimProgress, type SimRunOptions } from './run-in-sim.ts';
