/** What `skep test` shows of a run: a cell a check, and a sentence for whatever did not pass. */
import type { SelfTestCheck, SelfTestResult } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { remarksOn, tableOf } from './test.ts';

const check = (name: SelfTestCheck['name'], fields: Partial<SelfTestCheck> = {}): SelfTestCheck => ({
  name,
  outcome: 'passed',
  detail: 'It is well.',
  tookMs: 12,
  ...fields,
});

const results: SelfTestResult[] = [
  {
    slot: 'bootstrap-1',
    generation: 3,
    outcome: 'failed',
    checks: [
      check('ring', {
        outcome: 'failed',
        detail: 'Waited in vain for \u001b[2Jbootstrap-2@1.',
        tookMs: 8_000,
      }),
      check('dht', { outcome: 'skipped', detail: 'No other node is tested.' }),
      check('transfer', { tookMs: 1_234 }),
      check('disk'),
      check('clock'),
    ],
  },
  { slot: 'peer-1', generation: 1, outcome: 'missing', checks: [] },
];

describe('what is shown of tests', () => {
  it('is a table with a column for each check', () => {
    expect(tableOf(results)).toEqual([
      'NODE         GEN  RING     DHT      TRANSFER   DISK      CLOCK',
      'bootstrap-1  3    FAILED   -        ok 1.23 s  ok 12 ms  ok 12 ms',
      'peer-1       1    missing  missing  missing    missing   missing',
    ]);
  });

  it('is why, of whatever did not pass, with nothing in it that a terminal would obey', () => {
    expect(remarksOn(results)).toEqual([
      'bootstrap-1@3 ring failed: Waited in vain for \ufffd[2Jbootstrap-2@1.',
      'bootstrap-1@3 dht skipped: No other node is tested.',
      'peer-1@1 has told nothing in time: `skep logs peer-1` may show why',
    ]);
  });
});
