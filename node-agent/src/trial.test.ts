/** Trials end in time, whatever is tried, and say what was waited for. */
import { type SimHost, SimWorld } from '@skep/sim';
import { beforeEach, describe, expect, it } from 'vitest';
import { TrialFailure, tryWithin } from './trial.ts';

describe('a trial', () => {
  let world: SimWorld;
  let host: SimHost;
  let outer: AbortController;

  beforeEach(() => {
    world = new SimWorld({ seed: 1 });
    host = world.createHost({ address: '10.0.0.1' });
    outer = new AbortController();
  });

  const tried = (work: Parameters<typeof tryWithin<string>>[3]) =>
    world.complete(
      tryWithin(host.clock, 2_000, outer.signal, work).then(
        (value) => ({ value, atMs: Math.round(world.nowMs) }),
        (error: Error) => ({ name: error.name, message: error.message, atMs: Math.round(world.nowMs) }),
      ),
    );

  it('gives what is tried gives', async () => {
    expect(await tried(async () => 'well')).toEqual({ value: 'well', atMs: 0 });
    const failing = await tried(async () => Promise.reject(new TrialFailure('It broke.')));
    expect(failing).toEqual({ name: 'TrialFailure', message: 'It broke.', atMs: 0 });
  });

  it('is over in time though what is tried heeds nothing, and says what was missing', async () => {
    const ended = await tried(async (trial) => {
      trial.awaits('rain');
      return new Promise<string>(() => undefined);
    });
    expect(ended).toEqual({ name: 'TrialFailure', message: 'Waited 2 s in vain for rain.', atMs: 2_000 });
  });

  it('is over when it is wanted no more', async () => {
    host.clock.setTimer(500, () => outer.abort(new Error('enough')));
    const ended = await tried((trial) => trial.unlessOver(new Promise<string>(() => undefined)));
    expect(ended).toMatchObject({ message: 'enough', atMs: 500 });
    expect(await tried((trial) => trial.unlessOver(Promise.resolve('late')))).toMatchObject({
      message: 'enough',
    });
    expect(await tried((trial) => trial.unlessOver(Promise.reject(new Error('later'))))).toMatchObject({
      message: 'enough',
    });
  });
});
