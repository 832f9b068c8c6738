export * from './address.ts';
export * from './conditions.ts';
export * from './host.ts';
export * from './random.ts';
export { ShapedHost } from './shaped/index.ts';
export * from './sleep.ts';
