"""delayed-wire.py FROM TO MILLISECONDS: carries frames between two devices; those that FROM receives are kept a while."""

import json
import select
import socket
import sys
import time
from collections import deque

SOL_PACKET = 263
# Frames come and go with the kernel's notes on them (large segments, checksums yet to be made), as from device to device.
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 0x0003
FRAME_BYTES_MAX = 70_000
RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024


def opened(device):
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    packets.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    packets.setsockopt(socket.SOL_SOCKET, 33, RECEIVE_BUFFER_BYTES)  # SO_RCVBUFFORCE
    packets.bind((device, ETH_P_ALL))
    packets.setblocking(False)
    return packets


def frames(packets):
    while True:
        try:
            yield packets.recv(FRAME_BYTES_MAX)
        except BlockingIOError:
            return


def send(packets, frame):
    try:
        packets.send(frame)
    except OSError:
        pass  # A device's queue is full: the frame is lost, as on any wire.


def main():
    slow, fast = opened(sys.argv[1]), opened(sys.argv[2])
    delay = float(sys.argv[3]) / 1000
    waiting = deque()
    print(json.dumps({"relaying": True}), flush=True)
    while True:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([slow, fast], [], [], timeout)
        if slow in readable:
            due = time.monotonic() + delay
            waiting.extend((due, frame) for frame in frames(slow))
        if fast in readable:
            for frame in frames(fast):
                send(slow, frame)
        while waiting and waiting[0][0] <= time.monotonic():
            send(fast, waiting.popleft()[1])


main()
