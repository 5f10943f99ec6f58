"""One machine of the swarm benchmark with libtorrent.

Standard input is JSON, one object a line: first {"role", "address", "port", "peers", "torrents", "directory", "active"},
then "fetch" to begin. Says {"ready"} when it listens, {"image", "atMs"} for each complete torrent, and after "usage"
{"sentBytes"}. A seed has its files in the directory already.
"""
import json
import os
import select
import socket
import sys
import threading
import time

import libtorrent as lt

options = json.loads(sys.stdin.readline())
is_seed = options["role"] == "seed"
guard = threading.Lock()


def say(**line):
    with guard:
        print(json.dumps(line), flush=True)


session = lt.session({
    "listen_interfaces": f"{options['address']}:{options['port']}",
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False, "enable_incoming_utp": False,
    "out_enc_policy": 2, "in_enc_policy": 2,
    "active_downloads": options["active"], "active_seeds": -1, "active_limit": -1,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification
    | lt.alert.category_t.stats_notification,
})


def add_all():
    for torrent in options["torrents"]:
        parameters = lt.add_torrent_params()
        parameters.ti = lt.torrent_info(torrent)
        parameters.save_path = options["directory"]
        parameters.peers = [(address, options["port"]) for address in options["peers"]]
        if is_seed:
            parameters.flags |= lt.torrent_flags.seed_mode
        session.async_add_torrent(parameters)


def listen_to_driver():
    for line in sys.stdin:
        if json.loads(line) == "fetch":
            add_all()
        else:
            session.post_session_stats()
    os._exit(0)


# What session.wait_for_alert gives may be freed by libtorrent's own thread before Python has looked at it, which ends the
# process now and then. A byte here says as well that there are alerts.
alerted, alerts = socket.socketpair()
for end in (alerted, alerts):
    end.setblocking(False)
session.set_alert_fd(alerts.fileno())
while session.listen_port() == 0:
    time.sleep(0.01)
if is_seed:
    add_all()
say(ready=True)
threading.Thread(target=listen_to_driver, daemon=True).start()
while True:
    if select.select([alerted], [], [], 1)[0]:
        alerted.recv(4096)
    for alert in session.pop_alerts():
        if isinstance(alert, lt.torrent_finished_alert) and not is_seed:
            say(image=alert.handle.status().name, atMs=time.time() * 1e3)
        elif isinstance(alert, lt.session_stats_alert):
            say(sentBytes=alert.values["net.sent_payload_bytes"])
        elif isinstance(alert, (lt.torrent_error_alert, lt.listen_failed_alert, lt.file_error_alert)):
            say(error=alert.message())
