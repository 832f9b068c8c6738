/** Samples: what the control API shows of each node at one moment, in the form that bundles keep. */
import type { NodeView, RunSample } from '@skep/contract';

export function samplesOf(nodes: readonly NodeView[], atMs: number): RunSample[] {
  return nodes.map((node) => ({
    atMs,
    slot: node.slot,
    generation: node.generation,
    state: node.state,
    ...(node.ringRole === undefined ? {} : { ringRole: node.ringRole }),
    ...(node.term === undefined ? {} : { term: node.term }),
    ...(node.dhtNodes === undefined ? {} : { dhtNodes: node.dhtNodes }),
    torrents: node.torrents.map((torrent) => ({
      infoHash: torrent.infoHash,
      state: torrent.state,
      haveBytes: torrent.haveBytes,
      downloadRate: Math.round(torrent.downloadRate),
      uploadRate: Math.round(torrent.uploadRate),
      downloadedBytes: torrent.downloadedBytes,
      uploadedBytes: torrent.uploadedBytes,
      wastedBytes: torrent.wastedBytes,
      peers: torrent.peers,
    })),
  }));
}
