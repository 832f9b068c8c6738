export * from './cluster/index.ts';
export * from './host/index.ts';
