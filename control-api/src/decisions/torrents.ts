/** Decides who holds a torrent. */
import { type ClusterState, type Decision, put, refuse, remove } from './decision.ts';
import type { TorrentRow } from './rows.ts';

export function decideAddTorrent(state: ClusterState, torrent: TorrentRow): Decision<TorrentRow> {
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
  return {
    answer: torrent,
    changes: [put.torrent(torrent)],
    guards: ['about'],
    events: [{ kind: 'torrent-added', data: { infoHash: torrent.infoHash, name: torrent.name } }],
  };
}

export function decideRemoveTorrent(state: ClusterState, infoHash: string): Decision<undefined> {
  const torrent = state.torrents.get(infoHash);
  if (torrent === undefined) {
    return refuse('not-found', `${state.about.name} has no torrent ${infoHash}`);
  }
  return {
    answer: undefined,
    changes: [remove('torrents', infoHash)],
    events: [{ kind: 'torrent-removed', data: { infoHash, name: torrent.name } }],
  };
}
