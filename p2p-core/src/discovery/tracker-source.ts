/** A torrent's trackers as its source of peers. */
import type { Host } from '../host/host.ts';
import type { PeerSourceKind } from '../torrent/peer-source.ts';
import { TrackerAnnouncer } from './tracker/index.ts';

/** What is said to be left while the size is unknown: anything but 0, which would make us a seed. */
const SOMETHING_LEFT = 16 * 1024;

/** `tiers` as in BEP 12. */
export function trackerSource(host: Host, tiers: readonly (readonly string[])[]): PeerSourceKind {
  return {
    isPublic: false,
    start: (feed) =>
      new TrackerAnnouncer(host, {
        infoHash: feed.infoHash,
        peerId: feed.peerId,
        port: feed.listenPort,
        trackers: tiers,
        counts: () => {
          const { leftBytes = SOMETHING_LEFT, ...done } = feed.totals();
          return { ...done, leftBytes };
        },
        onPeers: (peers) => feed.onPeers(peers),
      }),
  };
}
