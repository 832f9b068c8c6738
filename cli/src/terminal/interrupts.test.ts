import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { Interrupted, listenForInterrupts } from './interrupts.ts';

it('takes what one key press brings for one interrupt, and a later one as a second', () => {
  const source = new EventEmitter();
  let time = 0;
  const interrupts = listenForInterrupts(source, () => time);
  source.emit('SIGINT');
  source.emit('SIGINT');
  expect(interrupts.signal.aborted).toBe(true);
  expect(interrupts.hurry.aborted).toBe(false);
  time = 1_000;
  source.emit('SIGINT');
  expect(interrupts.hurry.aborted).toBe(true);
});

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s ends with %d', (name, exitCode) => {
  const source = new EventEmitter();
  const interrupts = listenForInterrupts(source, () => 0);
  source.emit(name);
  expect((interrupts.signal.reason as Interrupted).exitCode).toBe(exitCode);
});

it('lets go of the signals when disposed', () => {
  const source = new EventEmitter();
  const interrupts = listenForInterrupts(source, () => 0);
  interrupts.dispose();
  expect(source.eventNames()).toEqual([]);
  expect(new Interrupted('SIGTERM').message).toContain('SIGTERM');
});
