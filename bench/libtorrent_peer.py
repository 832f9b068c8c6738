"""Seeds or downloads one torrent with libtorrent as it is set up by default but for discovery, without looking for peers.

Arguments: .torrent, directory, port to listen on, port of the peer to connect to (0: none). Prints `complete`
when all is there and verified; ends then if it was given a peer.
"""
import sys
import time

import libtorrent as lt

torrent, directory, port, peer_port = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
session = lt.session(
    {
        "listen_interfaces": f"127.0.0.1:{port}",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        # TCP, as the others: uTP gives way to any other load of the machine.
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        # A connection that came too early is tried again at once, not after the default minute.
        "min_reconnect_time": 1,
        "allow_multiple_connections_per_ip": True,
    }
)
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = directory
handle = session.add_torrent(params)
if peer_port:
    handle.connect_peer(("127.0.0.1", peer_port))
while not handle.status().is_seeding:
    time.sleep(0.02)
print("complete", flush=True)
while not peer_port:
    time.sleep(3600)
