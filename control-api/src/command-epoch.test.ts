/** Whatever changes a machine's commands moves the epoch on, or they would be told too late; what happens all the time does not. */
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { commandsFor, revisionOf } from './decisions/commands.ts';
import { currentMachine, type Decision } from './decisions/decision.ts';
import { decideDelete } from './decisions/deletion.ts';
import { decideFaultsDue, decideInjectFault } from './decisions/faults.ts';
import { decideLease } from './decisions/lease.ts';
import { decideExit, decideLaunched, decideStopped } from './decisions/machine-life.ts';
import { decideRedeployNode } from './decisions/operator.ts';
import { decideReport } from './decisions/report.ts';
import { decideAddNode, decideRemoveNode, decideRingStep } from './decisions/ring-change.ts';
import { decideAddTorrent, decideRemoveTorrent } from './decisions/torrents.ts';
import { apply, reportOf, serving, surroundings, t0 } from './testing/serving-cluster.ts';

const hash = (text: string) => createHash('sha256').update(text).digest('hex');
const infoHash = 'ab'.repeat(20);
const reports = () => ({ configurationVersion: 99, term: 5 });
const addresses = { listen: { host: '127.88.0.1', port: 100 }, ringPort: 101, healthPort: 102 };
const torrent = {
  infoHash,
  name: 'n',
  magnet: 'm',
  lengthBytes: 1,
  metainfo: 'bQ==',
  seeds: [],
  leeches: 'all' as const,
};
const report = reportOf('bootstrap-1', 1, 'serving');
const heardOf = (slot: string) => ({ slot, heard: false, drainMs: 0, reportedTerm: 0 });

it('moves on with what any machine is told, and only then', () => {
  const state = serving({ network: {} });
  const names = () =>
    new Map(
      [...state.machines.values()].map((machine) => [
        `${machine.slot}@${machine.generation}`,
        {
          machine,
          name: revisionOf(commandsFor(state, machine, surroundings, t0), hash),
        },
      ]),
    );
  const told = (slot: string) => currentMachine(state, state.slots.get(slot)!);
  const steps: readonly (readonly [string, moves: boolean, () => Decision<unknown>])[] = [
    [
      'a lease is renewed',
      false,
      () => decideLease(state, { action: 'renew', holder: told('bootstrap-1') as never, term: 5 }, t0 + 9),
    ],
    [
      'a fault begins',
      true,
      () =>
        decideInjectFault(
          state,
          {
            fault: { kind: 'clock', nodes: ['peer-1'], skewMs: 5, forMs: 9 },
            canPause: false,
            knowsControlApi: false,
            reportedTerm: 0,
          },
          t0,
        ),
    ],
    ['a fault is over', true, () => decideFaultsDue(state, 0, t0 + 9)],
    ['a bootstrap node stops', true, () => decideReport(state, { ...report, state: 'stopping' }, t0)],
    ['a torrent is added', true, () => decideAddTorrent(state, torrent)],
    ['a torrent is removed', true, () => decideRemoveTorrent(state, infoHash)],
    ['a machine dies', true, () => decideExit(state, told('bootstrap-2'), 'exit code 1', 0, t0)],
    ['it is replaced', true, () => decideRedeployNode(state, heardOf('bootstrap-2'), t0)],
    [
      'the old one is gone',
      true,
      () => decideStopped(state, [...state.effects.values()].find(({ kind }) => kind === 'stop')!, t0),
    ],
    [
      'the new one is launched',
      false,
      () =>
        decideLaunched(state, [...state.effects.values()].find(({ kind }) => kind === 'launch')!, 'm', t0),
    ],
    ['a slot is added', true, () => decideAddNode(state, { role: 'bootstrap' }, addresses, t0)],
    ['it is taken back', true, () => decideRemoveNode(state, 'bootstrap-4', reports, 0, t0)],
    ['a voter is to go', true, () => decideRemoveNode(state, 'bootstrap-3', reports, 0, t0)],
    ['it goes', true, () => decideRingStep(state, reports, 0, t0)],
    [
      'events are reported',
      false,
      () =>
        decideReport(
          state,
          {
            ...report,
            machine: { slot: 'peer-1', generation: 1 },
            events: [{ sequence: 1, lamport: 1, kind: 'elected', data: {} }],
          },
          t0,
        ),
    ],
    ['all is deleted', true, () => decideDelete(state, t0)],
  ];
  for (const [what, moves, decide] of steps) {
    const [before, epoch] = [names(), state.commandEpoch];
    apply(state, decide());
    const changed = [...names()].filter(([key, { machine, name }]) => {
      const known = before.get(key);
      // A row of its own that changed is not looked up under the old one.
      return known !== undefined && known.machine === machine && known.name !== name;
    });
    if (changed.length > 0) expect(state.commandEpoch, what).toBeGreaterThan(epoch);
    expect(state.commandEpoch > epoch, what).toBe(moves);
  }
});
