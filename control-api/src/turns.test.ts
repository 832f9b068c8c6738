import { expect, it } from 'vitest';
import { Turns } from './turns.ts';

it('takes one action a thing at a time, in order, also after one that failed, and other things beside it', async () => {
  const turns = new Turns();
  const said: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = turns.take('a', async () => {
    said.push('first begins');
    await gate.promise;
    said.push('first ends');
    throw new Error('in vain');
  });
  const second = turns.take('a', async () => said.push('second'));
  await turns.take('b', async () => said.push('another thing'));
  expect(said).toEqual(['first begins', 'another thing']);
  gate.resolve();
  await expect(first).rejects.toThrow('in vain');
  await second;
  expect(said.slice(2)).toEqual(['first ends', 'second']);
});
