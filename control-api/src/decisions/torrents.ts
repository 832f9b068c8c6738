/** Decides who holds a torrent. */
import { type ClusterState, type Decision, put, type Refused, refuse, remove } from './decision.ts';
import { isWhole, partsPut, partsRemoved } from './metainfo-parts.ts';
import type { MetainfoPartRow, TorrentRow } from './rows.ts';

/**
 * Writes down parts of a torrent's .torrent, `mostPartsAtOnce` at most. Refuses as adding the torrent would, so that
 * those of one that is there are left alone.
 */
export function decidePutMetainfo(
  state: ClusterState,
  torrent: TorrentRow,
  parts: readonly MetainfoPartRow[],
): Decision<undefined> {
  return refusalOf(state, torrent) ?? { answer: undefined, changes: partsPut(parts), guards: ['about'] };
}

/** All parts of its .torrent must have been put before. */
export function decideAddTorrent(state: ClusterState, torrent: TorrentRow): Decision<TorrentRow> {
  const refusal = refusalOf(state, torrent);
  if (refusal !== undefined) return refusal;
  if (!isWhole(state, torrent)) {
    return refuse('not-found', `${torrent.infoHash} was removed while it was being added: add it again`);
  }
  return {
    answer: torrent,
    changes: [put.torrent(torrent)],
    guards: ['about'],
    events: [{ kind: 'torrent-added', data: { infoHash: torrent.infoHash, name: torrent.name } }],
  };
}

function refusalOf(state: ClusterState, torrent: TorrentRow): Refused | undefined {
  const { about } = state;
  if (about.state === 'deleting') {
    return refuse('cluster-deleting', `${about.name} is being deleted: nothing can be added to it`);
  }
  if (state.torrents.has(torrent.infoHash)) {
    return refuse(
      'torrent-exists',
      `${about.name} spreads ${torrent.infoHash} already: remove it first to change it`,
    );
  }
  const named = [
    ...torrent.seeds.map((seed) => seed.slot),
    ...(torrent.leeches === 'all' ? [] : torrent.leeches),
  ];
  const unfit = named.find((slot) => state.slots.get(slot)?.role !== 'peer');
  if (unfit !== undefined) {
    return refuse(
      'node-not-found',
      `${unfit} is no peer slot of ${about.name}: name peers as seeds and leeches`,
    );
  }
  return undefined;
}

export function decideRemoveTorrent(state: ClusterState, infoHash: string): Decision<undefined> {
  const torrent = state.torrents.get(infoHash);
  if (torrent === undefined) {
    return refuse('not-found', `${state.about.name} has no torrent ${infoHash}`);
  }
  return {
    answer: undefined,
    changes: [remove('torrents', infoHash), ...partsRemoved(state, infoHash)],
    events: [{ kind: 'torrent-removed', data: { infoHash, name: torrent.name } }],
  };
}
