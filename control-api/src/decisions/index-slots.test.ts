/** Index slots: placed, numbered, healed and removed as peers are, and given no content. */
import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../cluster-record.ts';
import { Liveness } from '../liveness.ts';
import { Silence } from '../silence.ts';
import { apply, serving, silentFollower, surroundings, t0 } from '../testing/serving-cluster.ts';
import { commandsFor } from './commands.ts';
import { currentMachine } from './decision.ts';
import { decideExit } from './machine-life.ts';
import { decideRedeployment } from './redeployment.ts';
import { decideAddNode, decideRemoveNode } from './ring-change.ts';
import { decideAddTorrent } from './torrents.ts';
import { decideWatchdog } from './watchdog.ts';

const addressesOf = (ordinal: number) => ({
  listen: { host: `127.88.0.${ordinal}`, port: 100 },
  ringPort: 101,
  healthPort: 102,
});
const add = (state: ClusterRecord, ordinal: number) =>
  apply(state, decideAddNode(state, { role: 'index' }, addressesOf(ordinal), t0)).slot;
const commandsOf = (state: ClusterRecord, slot: string) =>
  commandsFor(state, currentMachine(state, state.slots.get(slot)!), surroundings, t0);
const film = {
  infoHash: 'f'.repeat(40),
  name: 'film',
  magnet: `magnet:?xt=urn:btih:${'f'.repeat(40)}`,
  lengthBytes: 1,
  metainfo: 'aA==',
  seeds: [{ slot: 'peer-1', contentRoot: '/' }],
  leeches: 'all',
} as const;

describe('an index slot', () => {
  it('is spread over the zones by its own ordinal, as those of every role are', () => {
    const zones = ['north', 'south'];
    const state = serving({ index: 2, placement: { zones } });
    const zoneOf = (slot: string) => currentMachine(state, state.slots.get(slot)!).placement?.zone;
    expect(['index-1', 'index-2', 'peer-1', 'peer-2'].map(zoneOf)).toEqual([...zones, ...zones]);
  });

  it('is no member of the ring', () => {
    const state = serving({ index: 2 });
    expect(state.ring.members.map(({ slot }) => slot)).toEqual(['bootstrap-1', 'bootstrap-2', 'bootstrap-3']);
    add(state, 20);
    expect(state.ring.version).toBe(1);
  });

  it.each([
    ['there were some', 2],
    ['there were none', 0],
  ])('has an ordinal that was never used, where %s', (_, index) => {
    const state = serving({ index });
    const first = add(state, 20);
    expect(first).toBe(`index-${index + 1}`);
    apply(
      state,
      decideRemoveNode(state, first, () => undefined, 5_000, t0),
    );
    expect(add(state, 21)).toBe(`index-${index + 2}`);
  });

  it('joins the DHT, and holds nothing that all peers are to hold', () => {
    const state = serving({ index: 1 });
    apply(state, decideAddTorrent(state, film));
    expect(commandsOf(state, 'peer-2').map(({ kind }) => kind)).toEqual(['bootstrap-from', 'hold-torrent']);
    expect(commandsOf(state, 'index-1').map(({ kind }) => kind)).toEqual(['bootstrap-from']);
  });

  it('is not named as a leech', () => {
    const state = serving({ index: 1 });
    expect(decideAddTorrent(state, { ...film, leeches: ['index-1'] })).toMatchObject({
      refusal: { code: 'node-not-found' },
    });
  });

  it('is told of to the leader when it dies, and redeployed at its word', () => {
    const state = serving({ index: 1 });
    const { slot, generation, attempt } = currentMachine(state, state.slots.get('index-1')!);
    apply(state, decideExit(state, { slot, generation, attempt }, 'exited', 0, t0));
    expect(commandsOf(state, 'bootstrap-1').at(-1)).toMatchObject({
      kind: 'heed-deaths',
      deaths: [{ machine: { slot: 'index-1', generation: 1 } }],
    });
    apply(state, decideRedeployment(state, { ...silentFollower, slot: 'index-1' }, t0));
    expect(state.slots.get('index-1')?.generation).toBe(2);
    expect(state.ring.version).toBe(1);
  });

  it('is healed by the watchdog too, and by neither where the spec does not say so', () => {
    const victims = (heal: object) => {
      const state = serving({ index: 1, ...heal });
      for (const slot of ['index-1', 'bootstrap-1', 'bootstrap-2'])
        apply(state, decideExit(state, { slot, generation: 1, attempt: 1 }, 'exited', 0, t0));
      return decideWatchdog(state, new Set(), t0, t0).answer?.victims.map(({ slot }) => slot);
    };
    expect(victims({})).toEqual(['bootstrap-1', 'bootstrap-2', 'index-1']);
    expect(victims({ heal: ['bootstrap', 'peer'] })).toEqual(['bootstrap-1', 'bootstrap-2']);
  });

  it('is taken over by a spare of its zone', () => {
    const state = serving({ index: 2, spares: 2, placement: { zones: ['north', 'south'] } });
    const sparesHeard = new Set(['spare-1@1', 'spare-2@1']);
    const redeployment = apply(
      state,
      decideRedeployment(state, { ...silentFollower, slot: 'index-2', sparesHeard }, t0),
    );
    expect(redeployment.spare).toBe('spare-2');
  });

  it('is missed by the control API, which no ring can do', () => {
    const state = serving({ index: 1 });
    const silence = new Silence(new Liveness());
    silence.look(state, t0, t0 + 6_000);
    expect(silence.of(state)).toEqual([]);
    // Peers are silent too here, but the time for which most may be has passed.
    silence.look(state, t0, t0 + 100_000);
    expect(silence.of(state).map(({ slot }) => slot)).toContain('index-1');
  });
});

describe('a cluster from before there were index nodes', () => {
  it('gets them numbered from 1', () => {
    const state = serving();
    const { index: _, ...spec } = state.about.spec;
    state.apply({
      table: 'about',
      id: 'one',
      value: { ...state.about, spec: spec as typeof state.about.spec },
    });
    expect([add(state, 20), add(state, 21)]).toEqual(['index-1', 'index-2']);
  });
});
