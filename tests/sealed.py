"""Run a command where every address is this machine, and write down where its packets wanted to go.

    unshare --net --map-root-user python -m tests.sealed FOUND.json COMMAND ...

In a network namespace of its own each address is a local one, so nothing fails in another way than
it would outside, and nothing leaves. A packet socket sees each packet, from whatever process and
library; those for another address than that of the loopback interface are the finding.
"""

import ctypes
import ipaddress
import json
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

ALL, IPV4, IPV6 = 0x0003, 0x0800, 0x86DD
PACKET_STATISTICS, SOL_PACKET, SO_ATTACH_FILTER = 6, 263, 26
# For the kernel, as (code, if so, if not, value): pass IPv6, and IPv4 that is not for 127.0.0.0/8.
# Without it, packets of the daemon and its clients would push those out that matter.
FILTER = (
    (0x28, 0, 0, 0xFFFFF000),  # the protocol
    (0x15, 0, 3, IPV4),
    (0x20, 0, 0, 16),  # where an IPv4 packet goes
    (0x54, 0, 0, 0xFF000000),
    (0x15, 2, 1, 0x7F000000),
    (0x15, 0, 1, IPV6),
    (0x06, 0, 0, 0xFFFF),  # pass
    (0x06, 0, 0, 0),  # drop
)
ROUTES = (
    ["ip", "link", "set", "lo", "up"],
    ["ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo"],
    ["ip", "-6", "route", "add", "local", "::/0", "dev", "lo"],
)


def command(found, *words):
    """Return the words that run a command sealed."""
    return [
        "unshare", "--net", "--map-root-user", sys.executable, "-m", "tests.sealed", str(found),
        *words,
    ]  # fmt: skip


def is_possible():
    """Return whether this machine lets us make such a namespace."""
    try:
        done = subprocess.run(
            command("/dev/null", sys.executable, "-c", "pass"), capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def watch(packets, ended, found):
    """Note the addresses of packets that are not for the loopback interface."""
    while not ended.is_set():
        try:
            packet, (_, kind, *_) = packets.recvfrom(128)
        except TimeoutError:
            continue
        where = packet[16:20] if kind == IPV4 else packet[24:40] if kind == IPV6 else b""
        if where and not ipaddress.ip_address(where).is_loopback:
            found.add(str(ipaddress.ip_address(where)))


def main(target, *words):
    for line in ROUTES:
        subprocess.run(line, check=True)
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(ALL))
    rules = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in FILTER))
    program = struct.pack("HL", len(FILTER), ctypes.addressof(rules))
    packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    packets.settimeout(0.2)
    ended, found = threading.Event(), set()
    watcher = threading.Thread(target=watch, args=(packets, ended, found))
    watcher.start()
    try:
        status = subprocess.run(words, check=False).returncode
    finally:
        ended.set()
        watcher.join()
    _, dropped = struct.unpack("II", packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    lines = Path("/proc/net/dev").read_text().splitlines()
    seen = next(int(line.split()[2]) for line in lines if line.split()[0] == "lo:")
    told = {"found": sorted(found), "seen": seen, "dropped": dropped, "status": status}
    Path(target).write_text(json.dumps(told))
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
