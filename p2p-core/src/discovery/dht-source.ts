/** The DHT as a torrent's source of peers: announces ourselves, and searches again while peers are few. */
import type { PeerSourceKind } from '../torrent/peer-source.ts';
import type { Dht } from './dht/index.ts';

/** Fewer than this, and the search is repeated sooner. */
const WANTED_PEERS = 30;

export function dhtSource(dht: Dht): PeerSourceKind {
  return {
    isPublic: true,
    start: (feed) => {
      const cancelSearch = dht.findPeers(feed.infoHash, (peers) => feed.onPeers(peers), undefined, {
        wantedPeers: WANTED_PEERS,
      });
      const cancelAnnouncement = dht.announce(feed.infoHash, feed.listenPort);
      return {
        completed: () => {},
        stop: async () => {
          cancelSearch();
          cancelAnnouncement();
        },
      };
    },
  };
}
