"""How a connection opens: probes are answered, and decide nothing."""

import json
import queue
import sys
import threading
from typing import Any

import pytest
from tests.conftest import with_slow
from tests.hosts import COMMAND, INITIALIZE, MODERN, HostProcess, hosting

from clawver_sandbox.shop import Shop

LATER = "import sys, time, subprocess; time.sleep(float(sys.argv[1])); sys.exit(subprocess.call(sys.argv[2:]))"

pytestmark = pytest.mark.usefixtures("opener")


def after(seconds: float) -> tuple[str, ...]:
    """The command, on a machine on which it starts this much later."""
    return (sys.executable, "-c", LATER, str(seconds), *COMMAND)


class PatientFor:
    """A client that asks for the newer protocol and falls back to the older one after a while."""

    def __init__(self, host: HostProcess, seconds: float) -> None:
        self.host = host
        self.seconds = seconds
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self.unexpected: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.host.process.stdout is not None
        for line in self.host.process.stdout:
            self.heard.put(json.loads(line))

    def ask(self, number: int, method: str, seconds: float = 120, **params: Any) -> dict[str, Any]:
        self.host.say({"id": number, "method": method, "params": params})
        while True:
            answer = self.heard.get(timeout=seconds)
            if answer["id"] == number:
                return answer
            self.unexpected.append(answer)

    def connect(self) -> dict[str, Any]:
        """The parameters that each further request carries."""
        try:
            found = self.ask(1, "server/discover", seconds=self.seconds, **MODERN)
        except queue.Empty:
            opened = self.ask(2, "initialize", **INITIALIZE)
            assert opened["result"]["protocolVersion"] == INITIALIZE["protocolVersion"]
            self.host.say({"method": "notifications/initialized"})
            return {}
        assert "2026-07-28" in found["result"]["supportedVersions"]
        return MODERN


@pytest.mark.parametrize("delay", with_slow([0, 1.5], [3]))
def test_a_client_that_waits_a_second_and_falls_back_is_served_however_slow_the_start(
    delay: float, live: dict[str, str], shop: Shop
) -> None:
    with hosting(*after(delay), **live) as host:
        client = PatientFor(host, seconds=1)
        more = client.connect()
        tools = client.ask(3, "tools/list", **more)
        called: dict[str, Any] = {"name": "get_order", "arguments": {"order_id": "ord_shirt"}}
        order = client.ask(4, "tools/call", **called, **more)

    assert len(tools["result"]["tools"]) >= 8
    assert order["result"]["structuredContent"]["orders"][0]["order_id"] == "ord_shirt"
    if delay:
        assert more == {}  # it did fall back
        assert client.unexpected == []  # and hears nothing of the probe that it has given up


def test_a_patient_client_speaks_the_newer_protocol(live: dict[str, str]) -> None:
    with hosting(*after(1.5), **live) as host:
        client = PatientFor(host, seconds=30)
        more = client.connect()
        tools = client.ask(3, "tools/list", **more)

    assert more == MODERN
    assert len(tools["result"]["tools"]) >= 8


def test_a_client_may_fall_back_after_its_probe_was_answered(live: dict[str, str]) -> None:
    with hosting(**live) as host:
        host.ask(1, "server/discover", **MODERN)
        host.ask(2, "server/discover", **MODERN)
        host.say({"method": "notifications/cancelled", "params": {"requestId": 1}})
        opened = host.ask(3, "initialize", **INITIALIZE)
        host.say({"method": "notifications/initialized"})
        tools = host.ask(4, "tools/list")

    assert opened["result"]["serverInfo"]["name"] == "clawver-orders"
    assert len(tools["result"]["tools"]) >= 8


def test_once_it_has_chosen_a_client_stays_with_its_protocol(live: dict[str, str]) -> None:
    with hosting(**live) as host:
        host.ask(1, "server/discover", **MODERN)
        host.ask(2, "tools/list", **MODERN)
        late = host.ask(3, "initialize", **INITIALIZE)
        again = host.ask(4, "server/discover", **MODERN)

    assert late["error"]["code"] == -32022
    assert "2026-07-28" in again["result"]["supportedVersions"]


def test_a_probe_without_its_envelope_is_told_so_and_a_handshake_still_works(
    live: dict[str, str],
) -> None:
    with hosting(**live) as host:
        probe = host.ask(1, "server/discover")
        opened = host.ask(2, "initialize", **INITIALIZE)

    assert "error" in probe
    assert opened["result"]["serverInfo"]["name"] == "clawver-orders"
