export * from '../compliance.ts';
