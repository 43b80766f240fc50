# SPDX-License-Identifier: BSD-3-Clause
"""``python -m benchmarks.serve``: requests a second of the FastAPI example, and of its like.

A model of a table, as ``fastrelu train`` makes it, is served by examples/serving/api.py, by the
same application around onnxruntime's session of the exported model, and by one that computes
nothing, which shows what HTTP takes. Each is a uvicorn of its own with one worker. A client, this
process, keeps 1, 4 or 16 connections busy with requests of 1 or 100 rows. The servers take turns,
first to last and then last to first; what counts is the sum over both. Of each it prints the
requests a second, the median latency, and the processor time of the server for a request, which
other work on the machine changes least. It needs fastapi, uvicorn and onnxruntime.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.command import write_table
from benchmarks.report_tables import table

ROOT = Path(__file__).parents[1]
SERVERS = {
    "fastrelu": ["--app-dir", str(ROOT / "examples" / "serving"), "api:app"],
    "onnxruntime": ["benchmarks.serve_peers:onnx_app", "--factory"],
    "nothing": ["benchmarks.serve_peers:empty_app", "--factory"],
}
CONNECTIONS, SIZES = (1, 4, 16), (1, 100)
Row = dict[str, Any]


def make_model(folder: Path) -> list[Row]:
    """Train and export a model in a folder, and return rows to ask for."""
    raw, data = folder / "raw.csv", folder / "table.csv"
    write_table(raw)
    with raw.open() as source, data.open("w") as out:
        rows = [{k: v for k, v in row.items() if k != "built"} for row in csv.DictReader(source)]
        writer = csv.DictWriter(out, list(rows[0]))  # without the date, which no export takes
        writer.writeheader()
        writer.writerows(rows)
    command = [sys.executable, "-m", "fastrelu"]
    run = str(folder / "run")
    train = [*command, "train", str(data), "--target", "price", "--quiet", "--out", run]
    subprocess.run(train, check=True, stdout=subprocess.DEVNULL)
    export = [*command, "export", run, "--onnx", str(folder / "model.onnx")]
    subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
    return [
        {k: v if k == "city" else float(v) if v else None for k, v in row.items() if k != "price"}
        for row in rows
    ]


class Server:
    """An application behind uvicorn, in a process of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {
            **os.environ, "MODEL": str(folder / "run"), "ONNX_MODEL": str(folder / "model.onnx"),
        }  # fmt: skip
        command = [sys.executable, "-m", "uvicorn", *SERVERS[name], "--port", str(self.port)]
        self.child = subprocess.Popen(
            [*command, "--log-level", "error", "--no-access-log"], cwd=ROOT, env=environment
        )

    def ask(self, rows: list[Row], patience: float = 60) -> list[float]:
        """Return what it predicts, once it answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/predict",
            json.dumps(rows).encode(),
            {"Content-Type": "application/json"},
        )
        ends = time.monotonic() + patience
        while True:
            try:
                with urllib.request.urlopen(request) as answer:
                    found: list[float] = json.load(answer)
                    return found
            except urllib.error.URLError:
                if time.monotonic() > ends or self.child.poll() is not None:
                    raise
                time.sleep(0.1)

    def processor_seconds(self) -> float:
        """Return the processor time of the process so far, threads that have ended included."""
        return time.clock_gettime((~self.child.pid << 3) | 2)  # clock_getcpuclockid of Linux

    def close(self) -> None:
        self.child.terminate()
        self.child.wait()


async def connection(port: int, request: bytes, ends: float, found: list[float]) -> None:
    """Ask on one connection, again and again, until a time; note the seconds of each request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (began := time.perf_counter()) < ends:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        found.append(time.perf_counter() - began)
    writer.close()


def measure(port: int, rows: list[Row], connections: int, seconds: float) -> list[float]:
    """Return the seconds of each request that some connections have made in a time."""
    body = json.dumps(rows).encode()
    head = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    found: list[float] = []

    async def together() -> None:
        ends = time.perf_counter() + seconds
        each = (connection(port, request, ends, found) for _ in range(connections))
        await asyncio.gather(*each)

    asyncio.run(together())
    return found


def turns(servers: dict[str, Server], rows: list[Row], seconds: float) -> list[list[str]]:
    """Return the lines of the table: each case by all servers, in both orders."""
    lines = []
    for size in SIZES:
        for connections in CONNECTIONS:
            found: dict[str, list[float]] = {name: [] for name in servers}
            spent, lasted = dict.fromkeys(servers, 0.0), dict.fromkeys(servers, 0.0)
            for order in (list(servers), list(servers)[::-1]):
                for name in order:
                    server, before = servers[name], time.perf_counter()
                    spent[name] -= server.processor_seconds()
                    found[name] += measure(server.port, rows[:size], connections, seconds)
                    spent[name] += server.processor_seconds()
                    lasted[name] += time.perf_counter() - before
            rates = [f"{len(each) / lasted[name]:.0f}" for name, each in found.items()]
            medians = [f"{1e3 * statistics.median(each):.1f}" for each in found.values()]
            costs = [f"{1e3 * spent[name] / len(each):.2f}" for name, each in found.items()]
            cells = [" / ".join(each) for each in (rates, medians, costs)]
            lines.append([str(size), str(connections), *cells])
    return lines


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn")
    parser.add_argument("--only", nargs="*", choices=SERVERS, default=list(SERVERS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = make_model(folder)
        servers = {name: Server(name, folder) for name in arguments.only}
        try:
            answers = {name: server.ask(rows[:100]) for name, server in servers.items()}
            if {"fastrelu", "onnxruntime"} <= set(answers):
                pairs = zip(answers["fastrelu"], answers["onnxruntime"], strict=True)
                assert all(abs(a - b) <= 1e-5 * abs(a) for a, b in pairs), "other predictions"
            for server in servers.values():  # threads and caches
                measure(server.port, rows[:1], 16, 0.3)
            lines = turns(servers, rows, arguments.seconds)
        finally:
            for server in servers.values():
                server.close()
    titles = ["rows", "connections", "requests a second", "median, ms", "CPU, ms"]
    print(" / ".join(servers))
    print(table(titles, lines))
    print(time.strftime("%Y-%m-%d"))


if __name__ == "__main__":
    main()
