import { describe, expect, it } from 'vitest';
import { differencesOf, sizeChanges } from './compose-size.ts';

const node = (slot: string, state = 'serving' as 'serving' | 'failed' | 'stopping') => ({
  slot,
  role: slot.split('-')[0] as 'bootstrap' | 'index' | 'peer',
  state,
});
const nodes = ['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'peer-1', 'peer-2', 'peer-3'].map((slot) =>
  node(slot),
);
const asIs = { bootstrap: 3, index: 0, peer: 3 };

/** What is done when compose has so many, for so long. */
function after(lastedMs: number, counts: typeof asIs, of = nodes) {
  const differences = differencesOf({}, counts, of, 1_000);
  const later = differencesOf(differences, counts, of, 1_000 + lastedMs);
  return sizeChanges(later, counts, of, 1_000 + lastedMs);
}

describe('a cluster that follows its compose project', () => {
  it('is left as it is while it has as many nodes as there are containers', () => {
    expect(after(60_000, asIs)).toEqual({ add: [], remove: [] });
  });

  it('grows once there have been more containers for a moment', () => {
    const more = { bootstrap: 3, index: 1, peer: 5 };
    expect(after(2_999, more)).toEqual({ add: [], remove: [] });
    expect(after(3_000, more)).toEqual({ add: ['index', 'peer', 'peer'], remove: [] });
  });

  it('shrinks after longer, by nodes that do not serve first and the latest next', () => {
    const of = [
      ...nodes.slice(0, 3),
      node('peer-1'),
      node('peer-2', 'failed'),
      node('peer-3'),
      node('peer-4'),
    ];
    expect(after(19_999, { ...asIs, peer: 2 }, of).remove).toEqual([]);
    expect(after(20_000, { ...asIs, peer: 2 }, of).remove).toEqual(['peer-2', 'peer-4']);
  });

  it('does not shrink to nothing when compose takes all containers away', () => {
    expect(after(60_000, { bootstrap: 0, index: 0, peer: 0 })).toEqual({ add: [], remove: [] });
  });

  it('does not count what is on its way out', () => {
    const leaving = [
      ...nodes,
      node('peer-4', 'stopping'),
      { ...node('bootstrap-4'), moving: 'leaving' as const },
    ];
    expect(after(60_000, asIs, leaving)).toEqual({ add: [], remove: [] });
  });

  it('counts from anew when the difference changes', () => {
    const first = differencesOf({}, { ...asIs, peer: 4 }, nodes, 0);
    const second = differencesOf(first, { ...asIs, peer: 5 }, nodes, 2_900);
    expect(sizeChanges(second, { ...asIs, peer: 5 }, nodes, 3_000).add).toEqual([]);
  });
});
