"""A libtorrent session with nothing but its DHT, obeying lines on standard input and telling lines of JSON.

Takes: argv[1] = bootstrap nodes as host:port, comma-separated. Commands: `announce HEX` (at the port it listens at), `find HEX`.
Tells: {"port": …} once it listens, {"found": HEX, "peers": [[host, port], …]} for each answer to a `find`.
"""
import json
import select
import sys

import libtorrent as lt

session = lt.session({
    'listen_interfaces': '127.0.0.1:0',
    'alert_mask': lt.alert.category_t.dht_operation_notification | lt.alert.category_t.dht_notification
    | lt.alert.category_t.status_notification,
    'enable_dht': True, 'enable_lsd': False, 'enable_upnp': False, 'enable_natpmp': False,
    'dht_bootstrap_nodes': sys.argv[1],
    # On loopback all nodes share an address, which on the Internet would be suspicious.
    'dht_restrict_routing_ips': False, 'dht_restrict_search_ips': False, 'dht_ignore_dark_internet': False,
    'dht_enforce_node_id': False, 'dht_prefer_verified_node_ids': False,
    # More than 5 messages a second of one address for 10 s, which here is all nodes, would be blocked for 5 minutes.
    'dht_block_ratelimit': 1000,
})


def tell(**what):
    print(json.dumps(what), flush=True)


told_port = False
while True:
    if not told_port and session.listen_port() != 0:
        told_port = True
        tell(port=session.listen_port())
    if select.select([sys.stdin], [], [], 0.02)[0]:
        words = sys.stdin.readline().split()
        if not words:
            break
        info_hash = lt.sha1_hash(bytes.fromhex(words[1]))
        if words[0] == 'announce':
            # The bindings can't call dht_announce; a torrent without metadata announces by the same code.
            params = lt.add_torrent_params()
            params.info_hashes = lt.info_hash_t(info_hash)
            params.save_path = '/nonexistent'
            params.flags = lt.torrent_flags.upload_mode
            session.add_torrent(params).force_dht_announce()
        else:
            session.dht_get_peers(info_hash)
    for alert in session.pop_alerts():
        if isinstance(alert, lt.dht_get_peers_reply_alert):
            tell(found=str(alert.info_hash), peers=[list(peer) for peer in alert.peers()])
