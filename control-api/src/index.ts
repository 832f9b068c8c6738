/** The control API as a component: what composes one needs. Stores and launchers of the real world are under their own paths. */
export {
  type ControlApi,
  type ControlApiComponents,
  type ControlApiOptions,
  createControlApi,
} from './control-api.ts';
export type { EffectRow, LeaseRow, MachineRow, RedeploymentRow, SlotRow } from './decisions/rows.ts';
export { createPages, type Pages } from './page/pages.ts';
export * from './ports/journal.ts';
export * from './ports/launcher.ts';
export * from './ports/store.ts';
export { MemoryStore } from './stores/memory.ts';
