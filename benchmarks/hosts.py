# SPDX-License-Identifier: BSD-3-Clause
"""Hosts on one machine, joined by links of a given rate and delay, and mpiexec over them (root).

    python -m benchmarks.hosts --hosts 2 --rate 1e9 --delay 10e-3 -- python -m mpi4py script.py

Each host is a network namespace whose only way to the others is a TUN device. This process moves
the packets: one leaves a host when those before it have left at `--rate` bits a second, and arrives
`--delay` / 2 seconds later, so that `--delay` is that of a round trip. (The kernel's own netem does
the same, where it is there.) One rank runs on each host; MPI's messages between them are TCP.
"""

from __future__ import annotations

import argparse
import fcntl
import heapq
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
NET = "10.77.0"
DEVICE = "link0"  # its name on each host
MTU = 9000  # bytes of a packet
QUEUE = 4000  # packets that wait for a link; more are lost, as on a wire

# What mpiexec calls in place of ssh: options, a host's address, a command.
LAUNCHER = """#!/bin/bash
while [[ $1 == -* ]]; do shift; done
host=$1; shift
exec ip netns exec {prefix}${{host##*.}} bash -c "$*"
"""


def ip(*arguments: str) -> None:
    """Call ip(8)."""
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def host(name: str, number: int):
    """Make a host, and yield the file of its packets."""
    device = f"{name}t"
    ip("netns", "add", name)
    try:
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))
        ip("link", "set", device, "netns", name)
        ip("-n", name, "link", "set", device, "name", DEVICE)
        ip("-n", name, "addr", "add", f"{NET}.{number}/24", "dev", DEVICE)
        ip("-n", name, "link", "set", DEVICE, "mtu", str(MTU), "txqueuelen", "10000", "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield file
        os.close(file)
    finally:
        ip("netns", "del", name)


def move(files: dict[int, int], rate: float, delay: float, stop: threading.Event) -> None:
    """Move packets between hosts, by number, until told to stop."""
    numbers = {file: number for number, file in files.items()}
    free = dict.fromkeys(files, 0.0)  # when each host's link has sent what waits for it
    waiting: list[tuple[float, int, int, bytes]] = []  # when, which, where to, what
    count = 0
    while not stop.is_set():
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            try:
                os.write(files[to], packet)
            except OSError:
                pass  # lost, and sent again by TCP
        left = min(0.1, waiting[0][0] - now) if waiting else 0.1
        for file in select.select(list(numbers), [], [], max(left, 0.0))[0]:
            now = time.monotonic()
            for _ in range(64):
                try:
                    packet = os.read(file, 65536)
                except BlockingIOError:
                    break
                to = packet[19]  # the last byte of IPv4's destination
                if packet[0] >> 4 != 4 or to not in files or len(waiting) >= QUEUE:
                    continue
                source = numbers[file]
                free[source] = max(free[source], now) + 8 * len(packet) / rate
                count += 1
                heapq.heappush(waiting, (free[source] + delay / 2, count, to, packet))


@contextmanager
def joined(count: int, rate: float, delay: float):
    """Make `count` hosts whose links have a rate (bits/s) and a round trip (s); yield mpiexec's
    command line for one rank on each.
    """
    prefix = f"fr{os.getpid() % 10000}h"
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    mpiexec = shutil.which("mpiexec", path=path)
    if mpiexec is None or os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        sys.exit("needs mpiexec (pip install mpi4py mpich), root and /dev/net/tun")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        launcher = Path(folder, "launch")
        launcher.write_text(LAUNCHER.format(prefix=prefix))
        launcher.chmod(0o755)
        files = {k: stack.enter_context(host(f"{prefix}{k}", k)) for k in range(1, count + 1)}
        stop = threading.Event()
        mover = threading.Thread(target=move, args=(files, rate, delay, stop), daemon=True)
        mover.start()
        addresses = ",".join(f"{NET}.{k}" for k in files)
        yield [
            "ip", "netns", "exec", f"{prefix}1", mpiexec, "-n", str(count), "-hosts", addresses,
            "-localhost", f"{NET}.1", "-launcher", "ssh", "-launcher-exec", str(launcher),
            # As between machines: MPICH sees one, whose memory it would use.
            "-genv", "MPIR_CVAR_NOLOCAL", "1", "-genv", "UCX_TLS", "tcp,self",
            "-genv", "UCX_NET_DEVICES", DEVICE, "-genv", "FI_TCP_IFACE", DEVICE,
        ]  # fmt: skip
        stop.set()
        mover.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1e9, help="bits a second")
    parser.add_argument("--delay", type=float, default=10e-3, help="seconds of a round trip")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    with joined(arguments.hosts, arguments.rate, arguments.delay) as mpiexec:
        return subprocess.run([*mpiexec, *arguments.command], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
