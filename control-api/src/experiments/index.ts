/** Experiments: scenarios run against a control API. Runners bring the world; this brings the run. */
export { minimumDistributionMs, type SwarmRates } from './bound.ts';
export { type ContentPort, describeContent, type ExperimentContent } from './content.ts';
export {
  type ExperimentComponents,
  type ExperimentListener,
  type ExperimentOptions,
  type ExperimentProgress,
  runExperiment,
  type Violation,
} from './experiment.ts';
