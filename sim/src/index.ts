export * from './cluster/index.ts';
export * from './host/index.ts';
export * from './runner/index.ts';
