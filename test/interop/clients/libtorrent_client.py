"""Downloads or seeds one torrent with libtorrent, as told by a JSON argument; prints `complete` when all is there."""
import json
import sys
import time

import libtorrent as lt

job = json.loads(sys.argv[1])
dht = job.get("dhtNode")
session = lt.session(
    {
        "listen_interfaces": f"{job['host']}:{job['port']}",
        "enable_dht": dht is not None,
        "dht_bootstrap_nodes": f"{dht['host']}:{dht['port']}" if dht else "",
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_prefer_verified_node_ids": False,
        # On loopback all nodes share the address whose messages are counted against a flood.
        "dht_block_ratelimit": 1000,
        # A search that came before the other side's announcement is made again soon, not after a quarter of an hour.
        "dht_announce_interval": 2,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "allow_multiple_connections_per_ip": True,
        "min_reconnect_time": 1,
    }
)
if job["torrent"].startswith("magnet:"):
    params = lt.parse_magnet_uri(job["torrent"])
else:
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(job["torrent"])
params.save_path = job["directory"]
handle = session.add_torrent(params)
told = False
while True:
    status = handle.status()
    if status.is_seeding and not told:
        print("complete", flush=True)
        told = True
    time.sleep(0.05)
