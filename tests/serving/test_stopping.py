"""How the server ends: at once when idle, after what must not be cut off, and at once when told twice."""

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from tests.cli.test_main import keyless
from tests.conftest import with_slow
from tests.hosts import COMMAND, HostProcess, hosting, patched, wait_for

from clawver_orders.signals import told_to_stop
from clawver_sandbox.shop import Shop

SAYS_WHEN_ITS_LIFESPAN_CLOSES = """
import sys, clawver_orders.services as services
close = services.Services.close
async def closing(self):
    await close(self)
    print("the lifespan is closed", file=sys.stderr)
services.Services.close = closing
"""
SAYS_WHEN_SIGNALS_ARE_HEARD = """
import asyncio, sys, clawver_orders.signals as stopping
told_to_stop = stopping.told_to_stop
async def telling():
    asyncio.get_running_loop().call_soon(lambda: print("listening", file=sys.stderr, flush=True))
    await told_to_stop()
stopping.told_to_stop = telling
"""
WITHOUT_SIGNALS_OF_THE_LOOP = """
import asyncio
def unavailable(*_): raise NotImplementedError
asyncio.SelectorEventLoop.add_signal_handler = unavailable
"""

pytestmark = pytest.mark.usefixtures("opener")


def terminate(host: HostProcess) -> None:
    host.process.send_signal(signal.SIGTERM)


def interrupt(host: HostProcess) -> None:
    host.process.send_signal(signal.SIGINT)


def hang_up(host: HostProcess) -> None:
    assert host.process.stdin is not None
    host.process.stdin.close()
    host.process.stdin = None


Stop = Callable[[HostProcess], None]
by_any_means = pytest.mark.parametrize("stop", with_slow([terminate], [hang_up, interrupt]))


def is_asked_for(shop: Shop, method: str) -> Callable[[], bool]:
    return lambda: any(request["method"] == method for request in shop.requests())


@by_any_means
def test_an_idle_server_ends_cleanly(stop: Stop, live: dict[str, str]) -> None:
    with hosting(*patched(SAYS_WHEN_ITS_LIFESPAN_CLOSES), **live) as host:
        host.greet()
        host.wait_until_loaded()
        stop(host)
        said, complaints = host.end()

    assert host.process.returncode == 0
    assert said == []
    assert complaints == "the lifespan is closed\n"


@by_any_means
def test_an_idle_server_ends_within_200_ms(stop: Stop, live: dict[str, str]) -> None:
    taken, bare = [], []
    for _ in range(20):
        start = time.monotonic()
        subprocess.run([sys.executable, "-c", ""], check=True)
        bare.append(time.monotonic() - start)
        with hosting(**live) as host:
            host.greet()
            host.ask(2, "tools/call", name="get_order", arguments={"order_id": "ord_shirt"})
            start = time.monotonic()
            stop(host)
            host.process.wait(timeout=120)
            taken.append(time.monotonic() - start)
        if taken[-1] < 0.2:
            break

    # The machine may be busy: the best of some runs is the server's own. Where it is slow as well, an
    # empty Python program is what that is measured by.
    assert min(taken) < max(0.2, 10 * min(bare))


@by_any_means
def test_a_server_that_nobody_has_spoken_to_ends_cleanly(stop: Stop, live: dict[str, str]) -> None:
    with hosting(*patched(SAYS_WHEN_SIGNALS_ARE_HEARD), **live) as host:
        assert host.process.stderr is not None
        assert host.process.stderr.readline() == b"listening\n"
        stop(host)
        said, complaints = host.end()

    assert (host.process.returncode, said, complaints) == (0, [], "")


@by_any_means
def test_a_refund_that_has_left_is_finished_and_still_answered(
    stop: Stop, live: dict[str, str], shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    shop.add_fault("slow", method="POST", path="/refund", seconds=1.5)
    with hosting(*patched(SAYS_WHEN_ITS_LIFESPAN_CLOSES), **live) as host:
        host.greet()
        host.request_refund(2, sale, 700)
        wait_for(is_asked_for(shop, "POST"))
        stop(host)
        said, complaints = host.end()

    assert host.process.returncode == 0
    assert complaints == "the lifespan is closed\n"
    assert [cents for order, cents in shop.refunds() if order == sale] == [700]
    assert [(each["id"], each["result"]["structuredContent"]["status"]) for each in said] == [
        (2, "refunded")
    ]


@by_any_means
def test_a_refund_that_gets_no_answer_is_given_up_within_its_bound(
    stop: Stop, live: dict[str, str], shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    shop.add_fault("hang_after", method="POST", path="/refund", seconds=60)
    with hosting(**live, CLAWVER_TIMEOUT_SECONDS="2") as host:
        host.greet()
        host.request_refund(2, sale, 700)
        wait_for(is_asked_for(shop, "POST"))
        stop(host)
        said, _ = host.end()

    assert host.process.returncode == 0
    assert said[0]["result"]["structuredContent"]["status"] == "refunded"  # found by looking


@by_any_means
def test_a_read_is_not_waited_for(stop: Stop, live: dict[str, str], shop: Shop) -> None:
    shop.add_fault("slow", method="GET", path="/orders", seconds=50)
    with hosting(**live, CLAWVER_TIMEOUT_SECONDS="60") as host:
        host.greet()
        asked = {"name": "get_order", "arguments": {"order_id": "ord_shirt"}}
        host.say({"id": 2, "method": "tools/call", "params": asked})
        wait_for(is_asked_for(shop, "GET"))
        stop(host)
        said, complaints = host.end()

    assert (host.process.returncode, complaints) == (0, "")
    assert [each["error"]["message"] for each in said] == ["Connection closed"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as Unix sends them")
@pytest.mark.parametrize("number", with_slow([signal.SIGTERM], [signal.SIGINT]))
def test_a_second_signal_ends_it_at_once(
    number: signal.Signals, live: dict[str, str], shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    shop.add_fault("hang_after", method="POST", path="/refund", seconds=60)
    with hosting(**live, CLAWVER_TIMEOUT_SECONDS="50") as host:
        host.greet()
        host.request_refund(2, sale, 700)
        wait_for(is_asked_for(shop, "POST"))
        terminate(host)
        with pytest.raises(TimeoutError):
            wait_for(lambda: host.process.poll() is not None, seconds=1)
        host.process.send_signal(number)

        assert host.process.wait(timeout=120) == -number


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as Unix sends them")
@pytest.mark.parametrize("number", with_slow([signal.SIGTERM], [signal.SIGINT]))
async def test_the_first_process_of_a_container_ends_itself_at_the_second_signal(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    ended: list[int] = []
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "_exit", ended.append)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told_to_stop)
            await anyio.wait_all_tasks_blocked()
            signal.raise_signal(signal.SIGTERM)
        assert ended == []
        assert signal.getsignal(number) is not signal.SIG_DFL  # it would end the tests
        signal.raise_signal(number)
    finally:
        for each, handler in before.items():
            asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, handler)

    assert ended == [128 + number]


IN_A_CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc")


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*IN_A_CONTAINER, "true"], capture_output=True, check=False).returncode != 0,
    reason="needs the right to make a namespace of processes",
)
def test_a_second_signal_ends_it_in_a_container_too(live: dict[str, str], shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    shop.add_fault("hang_after", method="POST", path="/refund", seconds=60)
    with hosting(*IN_A_CONTAINER, *COMMAND, **live, CLAWVER_TIMEOUT_SECONDS="50") as host:
        host.greet()
        outside = host.process.pid
        first = int(Path(f"/proc/{outside}/task/{outside}/children").read_text("utf-8"))
        host.request_refund(2, sale, 700)
        wait_for(is_asked_for(shop, "POST"))
        os.kill(first, signal.SIGTERM)
        with pytest.raises(TimeoutError):
            wait_for(lambda: host.process.poll() is not None, seconds=1)
        os.kill(first, signal.SIGTERM)

        assert host.process.wait(timeout=120) == 128 + signal.SIGTERM


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as Unix sends them")
@pytest.mark.parametrize(
    "module", ["click", "clawver_orders.settings", "mcp", "clawver_orders.tools"]
)
def test_an_interrupt_while_it_starts_ends_it_without_a_word(module: str) -> None:
    code = (
        "import builtins, signal\n"
        "importing = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        f"    if name == {module!r}: signal.raise_signal(signal.SIGINT)\n"
        "    return importing(name, *rest)\n"
        "builtins.__import__ = interrupted\n"
        "from clawver_orders.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=keyless(), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="a Unix shell makes it deaf")
@pytest.mark.parametrize(("words", "code"), [(("--version",), 0), (("serve", "--port", "1"), 2)])
def test_who_is_told_to_ignore_interrupts_goes_on_ignoring_them(
    words: tuple[str, ...], code: int
) -> None:
    as_installed = "from clawver_orders.__main__ import main; main()"
    command = shlex.join([sys.executable, "-c", as_installed, *words])
    with_an_interrupt = f"trap '' INT; {command} & kill -INT $!; wait $!"
    done = subprocess.run(
        ["sh", "-c", with_an_interrupt], env=keyless(), capture_output=True, timeout=60, check=False
    )

    assert done.returncode == code
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as Unix sends them")
@pytest.mark.parametrize("stop", with_slow([interrupt], [terminate]))
def test_an_event_loop_without_signals_as_on_windows_ends_cleanly_too(
    stop: Stop, live: dict[str, str]
) -> None:
    command = patched(SAYS_WHEN_ITS_LIFESPAN_CLOSES + WITHOUT_SIGNALS_OF_THE_LOOP)
    with hosting(*command, **live) as host:
        host.greet()
        host.wait_until_loaded()
        stop(host)
        said, complaints = host.end()

    assert (host.process.returncode, said, complaints) == (0, [], "the lifespan is closed\n")


def test_a_host_that_has_stopped_to_listen_is_gone(live: dict[str, str], shop: Shop) -> None:
    with hosting(*patched(SAYS_WHEN_ITS_LIFESPAN_CLOSES), **live) as host:
        host.greet()
        host.wait_until_loaded()
        assert host.process.stdout is not None
        host.process.stdout.close()
        host.say({"id": 2, "method": "ping"})

        assert host.process.wait(timeout=120) == 0
        assert host.process.stderr is not None
        assert host.process.stderr.read() == b"the lifespan is closed\n"


def test_a_host_that_does_not_read_cannot_keep_it_alive(live: dict[str, str]) -> None:
    with hosting(**live) as host:
        host.greet()  # a signal before it has started ends it like any process
        for number in range(2, 40):  # far more than a pipe holds
            host.say({"id": number, "method": "tools/list"})
        time.sleep(1)
        terminate(host)

        assert host.process.wait(timeout=120) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors as a Unix shell does")
@pytest.mark.parametrize("descriptor", [0, 1])
def test_without_standard_streams_it_says_how_it_is_started(
    descriptor: int, live: dict[str, str]
) -> None:
    closes = f"import os; os.close({descriptor})"
    with hosting(*patched(closes), **live) as host:
        complaints = host.process.communicate(timeout=120)[1].decode()

    assert host.process.returncode == 1
    assert "is closed" in complaints
    assert "Let an MCP host start this command" in complaints
    assert "Traceback" not in complaints
