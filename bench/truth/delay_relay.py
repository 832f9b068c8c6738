"""Holds every packet that a tun device is given for a while, then gives it back: a path's delay, where the
kernel has no netem. Order is kept, nothing is lost.

Arguments: name of the device to make, milliseconds. Prints `ready`; ends with its parent's end of standard input.
"""
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x0001 | 0x1000
MAX_PACKET_BYTES = 65536

name, delay_s = sys.argv[1], float(sys.argv[2]) / 1000
tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_NO_PI))
print("ready", flush=True)

held = deque()
poll = select.epoll()
poll.register(tun, select.EPOLLIN)
poll.register(0, select.EPOLLHUP | select.EPOLLIN)
while True:
    now = time.monotonic()
    while held and held[0][0] <= now:
        try:
            os.write(tun, held.popleft()[1])
        except OSError:
            pass
    # epoll waits in whole milliseconds, rounded up: the last one is spent turning.
    wait = -1 if not held else max(0.0, held[0][0] - now - 0.001)
    for file, _ in poll.poll(wait):
        if file == 0:
            if not os.read(0, 1):
                sys.exit()
            continue
        while True:
            try:
                held.append((time.monotonic() + delay_s, os.read(tun, MAX_PACKET_BYTES)))
            except BlockingIOError:
                break
