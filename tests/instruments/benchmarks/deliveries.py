"""How many verified deliveries a listener takes: `uv run python -m tests.instruments.benchmarks.deliveries`.

Not a test: nothing here passes or fails. Beside it stands a bare Starlette endpoint under the same
server that only reads the body, and, where one delivery is sent at a time, a bare SQLite transaction
that is as safe on disk. Rounds alternate, so that a noisy machine disturbs all alike. Every delivery
is a new event, signed, and on disk before it is answered.
"""

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.webhooks.test_listener import SECRET, listening

from clawver_orders.webhooks import sign
from clawver_orders.webhooks.inbox import Inbox

BARE = """
import socket, uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
async def read(request: Request) -> Response:
    await request.body()
    return Response(b'{"ok": true}', media_type="application/json")
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
sock.bind(("127.0.0.1", 0))
sock.listen()
print(sock.getsockname()[1], flush=True)
app = Starlette(routes=[Route("/webhook", read, methods=["POST"])])
config = uvicorn.Config(app, http="h11", ws="none", loop="asyncio", lifespan="off", log_level="error", access_log=False)
uvicorn.Server(config).run(sockets=[sock])
"""
ROUNDS = 10
REQUESTS = 600
ITEMS = ",".join(
    f'{{"id":"item_{n}","productName":"Star map tee","quantity":1,"totalInCents":3200}}'
    for n in range(4)
)


@contextmanager
def bare() -> Iterator[int]:
    """The endpoint to compare with; gives its port."""
    with subprocess.Popen(
        [sys.executable, "-c", BARE], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def request(number: int) -> bytes:
    """One delivery as it goes over the line."""
    body = (
        f'{{"event":"order.paid","timestamp":"2026-11-24T12:00:00.000Z","data":{{"orderId":"ord_{number}",'
        f'"totalInCents":12800,"items":[{ITEMS}]}}}}'
    ).encode()
    head = (
        "POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Claw-Signature: {sign(body, SECRET)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def one_round(port: int, deliveries: list[bytes], senders: int) -> tuple[float, list[float]]:
    """Send all over so many connections; gives the whole time and each one's, in seconds."""
    times: list[float] = []
    waiting = iter(deliveries)

    async def sender() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for delivery in waiting:
            start = time.perf_counter()
            writer.write(delivery)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - start)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    start = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(senders)))
    return time.perf_counter() - start, times


def on_disk(path: Path, deliveries: list[bytes]) -> list[float]:
    """Write each in a transaction of its own, and nothing more; gives the time of each, in seconds."""
    times = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("CREATE TABLE IF NOT EXISTS event (body BLOB)")
        for delivery in deliveries:
            start = time.perf_counter()
            connection.execute("INSERT INTO event VALUES (?)", (delivery,))
            times.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        state = {"CLAWVER_STATE_DIR": folder, "CLAWVER_SANDBOX": "on"}
        with listening(state) as started, bare() as bare_port:
            print(f"{'':<30}{'a second':>10}{'median':>11}{'99 %':>11}")
            number = 0
            for senders in (1, 16, 64):
                rates: defaultdict[str, list[float]] = defaultdict(list)
                times: defaultdict[str, list[float]] = defaultdict(list)
                count = REQUESTS if senders > 1 else REQUESTS // 6
                for _ in range(ROUNDS):
                    for name, port in (("bare", bare_port), ("listen", started.port)):
                        deliveries = [request(number + each) for each in range(count)]
                        number += count if name == "listen" else 0
                        whole, each_one = asyncio.run(one_round(port, deliveries, senders))
                        rates[name].append(count / whole)
                        times[name] += each_one
                    if senders == 1:
                        times["disk"] += on_disk(Path(folder) / "bare.sqlite3", deliveries)
                        rates["disk"].append(count / sum(times["disk"][-count:]))
                for name in times:
                    median = statistics.median(times[name]) * 1000
                    slowest = statistics.quantiles(times[name], n=100)[98] * 1000
                    label = f"{name}, {senders} at a time"
                    print(
                        f"{label:<30}{statistics.median(rates[name]):>10.0f}{median:>8.1f} ms{slowest:>8.1f} ms"
                    )
            path = Path(folder) / "stores" / "sandbox" / "inbox.sqlite3"
            stored = Inbox(path, timedelta(days=30)).receiver_status(datetime.now(UTC)).last_number
            print(f"sent {number}, stored {stored}")


if __name__ == "__main__":
    main()
