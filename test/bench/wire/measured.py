"""Runs a command to its end and prints, as one line of JSON, what it used: `measured.py COMMAND ARGUMENT ...`.

The peak cannot be told apart below this interpreter's own, some 10 MiB: the kernel carries it over to what it starts.
"""
import json
import os
import sys
import time

started = time.monotonic()
null = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, used = os.wait4(pid, 0)
if status != 0:
    sys.exit(f"{' '.join(sys.argv[1:])} ended with status {status}")
print(json.dumps({
    "seconds": time.monotonic() - started,
    "cpuSeconds": used.ru_utime + used.ru_stime,
    "peakMib": used.ru_maxrss / 1024,
}), flush=True)
