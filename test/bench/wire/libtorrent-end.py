"""One end of the wire benchmark with libtorrent. See bootswarm-end.ts."""
import json
import os
import resource
import sys
import time

import libtorrent as lt

role, torrent_path, data_path = sys.argv[1:4]


def report(**line):
    print(json.dumps(line), flush=True)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


session = lt.session({
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False, "enable_incoming_utp": False,
    "allow_multiple_connections_per_ip": True,
    "out_enc_policy": 2, "in_enc_policy": 2,
})
started = time.monotonic()
cpu_at_start = cpu_seconds()
handle = session.add_torrent({
    "ti": lt.torrent_info(torrent_path),
    "save_path": os.path.dirname(data_path),
    "flags": lt.torrent_flags.seed_mode if role == "seed" else lt.torrent_flags.default_flags & ~lt.torrent_flags.auto_managed & ~lt.torrent_flags.paused,
})
if role == "seed":
    while session.listen_port() == 0:
        time.sleep(0.01)
    report(port=session.listen_port())
    while True:
        time.sleep(1)
handle.connect_peer(("127.0.0.1", int(sys.argv[4])))
while not handle.status().is_seeding:
    time.sleep(0.01)
    session.pop_alerts()
report(
    seconds=time.monotonic() - started,
    cpuSeconds=cpu_seconds() - cpu_at_start,
    peakMib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
)
os._exit(0)
