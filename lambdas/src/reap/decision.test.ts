import { expect, it } from 'vitest';
import { decideReap, type Found, stacksToAsk } from './decision.ts';

const nowMs = Date.parse('2026-12-01T12:00:00Z');
const past = '2026-12-01T11:59:59Z';
const future = '2026-12-01T12:00:01Z';
const stack = 'arn:aws:cloudformation:eu-north-1:123456789012:stack/bees/1';
const found = (rest: Partial<Found> = {}): Found => ({
  kind: 'instance',
  id: 'i-1',
  deployment: 'bees',
  ...rest,
});

it.each([
  ['past its time', found({ expiresAt: past }), {}, true],
  ['at its time', found({ expiresAt: '2026-12-01T12:00:00Z' }), {}, true],
  ['before its time', found({ expiresAt: future }), {}, false],
  ['without a time', found(), {}, false],
  ['that never ends', found({ expiresAt: 'never' }), {}, false],
  ['with a time that is none', found({ expiresAt: 'soon' }), {}, false],
  ['of a stack that is gone', found({ stack, expiresAt: future }), { goneStacks: new Set([stack]) }, true],
  ['of a stack that is there', found({ stack }), { goneStacks: new Set(['another']) }, false],
  [
    'of a deployment whose time was prolonged',
    found({ expiresAt: past }),
    { own: { deployment: 'bees', expiresAt: future } },
    false,
  ],
  [
    'of a deployment that lives for ever now',
    found({ expiresAt: past }),
    { own: { deployment: 'bees' } },
    false,
  ],
  [
    'of a deployment whose time was cut short',
    found({ expiresAt: future }),
    { own: { deployment: 'bees', expiresAt: past } },
    true,
  ],
  [
    'of another deployment than the reaper’s',
    found({ expiresAt: past }),
    { own: { deployment: 'wasps' } },
    true,
  ],
])('what is %s goes, or not', (_, each, known, goes) => {
  expect(decideReap([each], { goneStacks: new Set<string>(), nowMs, ...known })).toEqual(goes ? [each] : []);
});

it('ends groups before the instances that they would replace, and interfaces last', () => {
  const all = [
    found({ kind: 'interface', id: 'eni-1', expiresAt: past }),
    found({ kind: 'instance', id: 'i-1', expiresAt: past }),
    found({ kind: 'group', id: 'control', expiresAt: past }),
  ];
  const order = decideReap(all, { goneStacks: new Set(), nowMs }).map(({ kind }) => kind);
  expect(order).toEqual(['group', 'instance', 'interface']);
});

it('asks once for each stack of what would live on', () => {
  const all = [
    found({ stack }),
    found({ id: 'i-2', stack }),
    found({ id: 'i-3', stack: 'gone anyway', expiresAt: past }),
  ];
  expect(stacksToAsk(all, undefined, nowMs)).toEqual([stack]);
});
