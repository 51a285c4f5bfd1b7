"""A shop on a port: ready when it says so, gone when it is told to go."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from clawver_sandbox.api import build_app
from clawver_sandbox.serving import listen, running
from clawver_sandbox.shop import API_KEY, Shop

SERVE = """
import pathlib, sys
from clawver_sandbox.serving import listen, serve
from clawver_sandbox.shop import Shop
serve(Shop.open(pathlib.Path(sys.argv[1])), listen(0), on_ready=lambda url: print(url, flush=True))
print("stopped", flush=True)
"""


def test_a_served_shop_says_where_it_is_and_stops_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite3"
    command = [sys.executable, "-c", SERVE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base = process.stdout.readline().strip()

        response = httpx2.get(
            f"{base}/v1/orders/ord_digital", headers={"authorization": f"Bearer {API_KEY}"}
        )
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)

    assert response.status_code == 200
    assert (said, process.returncode) == ("stopped\n", 0)
    assert Shop.open(path).public_url == base


def test_a_port_in_use_is_an_error(base: str) -> None:
    with pytest.raises(OSError, match="in use"):
        listen(int(base.rsplit(":", 1)[1]))


def test_every_answer_carries_the_date(owner: httpx2.Client) -> None:
    assert owner.get("/orders").headers["date"].endswith("GMT")


def test_a_shop_stops_while_somebody_waits_for_it(shop: Shop) -> None:
    shop.add_fault("hang_before", seconds=600)
    heard: list[BaseException] = []

    def wait_for_an_answer(url: str) -> None:
        try:
            httpx2.get(url, timeout=60)
        except httpx2.TransportError as error:
            heard.append(error)

    with running(shop) as base:
        caller = threading.Thread(target=wait_for_an_answer, args=[f"{base}/v1/orders"])
        caller.start()
        while not shop.requests():
            pass
    caller.join()

    assert len(heard) == 1
    assert shop.requests()[0]["status"] is None


def test_nothing_remains_when_a_shop_stops(shop: Shop) -> None:
    with running(shop) as base, httpx2.Client() as client:
        client.get(f"{base}/v1/orders")

    assert "sandbox" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{base}/v1/orders")


def test_the_app_can_be_asked_to_start_by_any_server(shop: Shop) -> None:
    from starlette.testclient import TestClient

    with TestClient(build_app(shop)) as client:
        assert client.get("/nowhere").status_code == 404
