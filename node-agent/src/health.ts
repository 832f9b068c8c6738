/** Health and Prometheus metrics on loopback: what is true of this machine without asking the control API. */
import type { Report } from '@skep/contract';
import type { Address, Host, HttpServer } from '@skep/p2p-core/host';

export interface HealthSource {
  readonly slot: string;
  readonly generation: number;
  report(): Pick<Report, 'state' | 'lamport' | 'dhtNodes' | 'torrents' | 'ring'>;
  readonly controlSilentMs: () => number;
}

/** `GET /healthz` (200 while serving, 503 before and after) and `GET /metrics` (text exposition format 0.0.4). */
export function serveHealth(host: Host, local: Address, source: HealthSource): Promise<HttpServer> {
  return host.http.serve(local, (request) => {
    const { pathname } = new URL(request.url);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return new Response('only GET is answered here\n', { status: 405, headers: { allow: 'GET, HEAD' } });
    }
    if (pathname === '/healthz') {
      const { state } = source.report();
      const { slot, generation } = source;
      return Response.json({ state, slot, generation }, { status: state === 'serving' ? 200 : 503 });
    }
    if (pathname === '/metrics') {
      return new Response(metricsText(source), { headers: { 'content-type': 'text/plain; version=0.0.4' } });
    }
    return new Response('try /healthz or /metrics\n', { status: 404 });
  });
}

/** The node's figures in the Prometheus text exposition format, base units (bytes, seconds) as it asks for. */
export function metricsText(source: HealthSource): string {
  const report = source.report();
  const lines: string[] = [];
  const metric = (name: string, type: 'gauge' | 'counter', help: string, samples: [string, number][]) => {
    if (samples.length === 0) return;
    lines.push(`# HELP skep_${name} ${help}`, `# TYPE skep_${name} ${type}`);
    for (const [labels, value] of samples) lines.push(`skep_${name}${labels} ${value}`);
  };
  const perTorrent = (value: (torrent: Report['torrents'][number]) => number) =>
    report.torrents.map((torrent): [string, number] => [`{infohash="${torrent.infoHash}"}`, value(torrent)]);

  metric('serving', 'gauge', 'Whether the node serves its role.', [['', report.state === 'serving' ? 1 : 0]]);
  metric('generation', 'gauge', 'Generation of the slot that this machine is.', [
    [`{slot="${source.slot}"}`, source.generation],
  ]);
  metric('lamport_time', 'counter', 'Lamport time of the node.', [['', report.lamport]]);
  metric('dht_nodes', 'gauge', 'Nodes in the DHT routing table.', [['', report.dhtNodes]]);
  metric('control_api_silence_seconds', 'gauge', 'Time since the control API last answered.', [
    ['', source.controlSilentMs() / 1_000],
  ]);
  if (report.ring !== undefined) {
    metric('ring_term', 'counter', 'Highest term known.', [['', report.ring.term]]);
    metric('ring_leader', 'gauge', 'Whether this node holds the lease.', [
      ['', report.ring.role === 'leader' ? 1 : 0],
    ]);
  }
  metric(
    'torrent_length_bytes',
    'gauge',
    'Length of the content.',
    perTorrent((t) => t.lengthBytes),
  );
  metric(
    'torrent_have_bytes',
    'gauge',
    'Bytes verified on disk.',
    perTorrent((t) => t.haveBytes),
  );
  metric(
    'torrent_downloaded_bytes_total',
    'counter',
    'Payload received.',
    perTorrent((t) => t.downloadedBytes),
  );
  metric(
    'torrent_uploaded_bytes_total',
    'counter',
    'Payload sent.',
    perTorrent((t) => t.uploadedBytes),
  );
  metric(
    'torrent_wasted_bytes_total',
    'counter',
    'Payload received beyond need.',
    perTorrent((t) => t.wastedBytes),
  );
  metric(
    'torrent_peers',
    'gauge',
    'Connected peers.',
    perTorrent((t) => t.peers),
  );
  return `${lines.join('\n')}\n`;
}
