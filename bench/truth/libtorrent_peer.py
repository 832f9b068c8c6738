"""One libtorrent peer as it is set up by default but for discovery: it is told its peers.

Arguments: seconds of requests to keep under way (libtorrent's own default: 3), .torrent, directory, address to listen on, addresses of the peers to connect to. Prints `ready`; begins
when it reads a line; prints `complete SECONDS` from then to the last verified piece; ends with its standard input.
"""
import sys
import threading
import time

import libtorrent as lt

queue_seconds, torrent, directory, address, *peers = sys.argv[1:]
session = lt.session(
    {
        "listen_interfaces": f"{address}:6881",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        # TCP: uTP gives way to any other load of the machine.
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        # Peers of one moment all meet at once, not after the default pace and pauses.
        "connection_speed": 100,
        "min_reconnect_time": 1,
        "request_queue_time": int(queue_seconds),
    }
)
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = directory
handle = session.add_torrent(params)
while handle.status().state in (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data):
    time.sleep(0.01)
print("ready", flush=True)
sys.stdin.readline()
begun = time.monotonic()
for peer in peers:
    handle.connect_peer((peer, 6881))


def tell():
    while not handle.status().is_seeding:
        time.sleep(0.01)
    print(f"complete {time.monotonic() - begun:.3f}", flush=True)


threading.Thread(target=tell, daemon=True).start()
sys.stdin.read()
