"""Where the page is: one for each store, found by everybody else, and gone when its process is."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import httpx2
import pytest
from tests.conftest import Configure
from tests.processes import Start, mode
from tests.web.visitor import Room

from clawver_orders.errors import SetupError
from clawver_orders.http_server import QuietServer, bound
from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_orders.web import address_file, starting
from clawver_orders.web.address_file import ADDRESS_FILE, address_of, only_page
from clawver_orders.web.starting import link_to, page_up, running, start_within

HOLDS = """
import sys, pathlib
from clawver_orders.web.address_file import only_page
with only_page(pathlib.Path(sys.argv[1])) as note:
    note("http://127.0.0.1:1", 1)
    print("ready", flush=True)
    sys.stdin.readline()
"""
UNUSED = """
import sys
from clawver_orders.cli.main import commands
from clawver_orders.serving.server import build_server
from clawver_orders.serving.stdio import run
from clawver_orders.settings import Settings
build_server(Settings(sandbox=True, state_dir=sys.argv[1]))
print(sorted(m for m in sys.modules if f"{m}.".startswith(("clawver_orders.web.", "jinja2."))))
"""


async def answers(address: str) -> bool:
    async with httpx2.AsyncClient(trust_env=False) as http:
        try:
            return "Sign in" in (await http.get(address)).text
        except httpx2.ConnectError:
            return False


async def test_its_address_is_noted_for_this_user_alone_and_goes_with_it(
    configure: Configure,
) -> None:
    async with opened(configure()) as services:
        folder = (await services.store()).scope.folder
        async with running(services, 0) as page:
            assert page.is_ours
            assert address_of(folder) == page.address
            assert mode(folder / ADDRESS_FILE) == 0o600
            assert await answers(page.address)
        assert address_of(folder) is None
        assert not (folder / ADDRESS_FILE).exists()
        assert not await answers(page.address)


async def test_a_second_one_is_the_first(room: Room, configure: Configure) -> None:
    async with opened(configure()) as services:
        async with running(services) as page:
            assert (page.address, page.is_ours) == (room.address, False)
        assert await page_up(services) == room.address
        assert await start_within(services) == room.address
    assert await answers(room.address)


async def test_a_server_has_it_up_when_it_is_needed_and_takes_it_along(
    configure: Configure,
) -> None:
    async with opened(configure()) as services:
        assert await page_up(services) is None
        found = []

        async def start() -> None:
            found.append(await start_within(services))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(start)
        address = found[0]
        assert len(set(found)) == 1
        assert await answers(address)
        assert await page_up(services) == address
        assert link_to(address, "refund/rfi_1") == f"{address}/refund/rfi_1"
    assert not await answers(address)


async def test_it_ends_in_peace_where_the_server_is_cut_off(configure: Configure) -> None:
    address = ""
    with anyio.CancelScope() as scope:
        async with opened(configure()) as services:
            address = await start_within(services)
            scope.cancel()
            await anyio.sleep(60)

    assert not await answers(address)


async def test_links_lead_where_the_merchant_says(configure: Configure) -> None:
    async with opened(configure(board_url="https://orders.example/board")) as services:
        assert await start_within(services) == "https://orders.example/board"


async def test_it_takes_the_usual_port_or_another(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bound("127.0.0.1", 0) as usual:
        port = usual.getsockname()[1]
        monkeypatch.setattr(starting, "DEFAULT_PORT", port)
        usual.listen()
        async with opened(configure()) as services:
            async with running(services) as page:
                assert not page.address.endswith(f":{port}")
            usual.close()
            async with running(services) as page:
                assert page.address == f"http://127.0.0.1:{port}"


async def test_a_port_that_somebody_else_has_is_said(configure: Configure) -> None:
    with bound("127.0.0.1", 0) as taken:
        taken.listen()
        async with opened(configure()) as services:
            with pytest.raises(SetupError, match=r"^Port \d+ is in use"):
                async with running(services, taken.getsockname()[1]):
                    raise AssertionError


def test_what_a_killed_process_left_behind_misleads_nobody(tmp_path: Path, another: Start) -> None:
    other = another(HOLDS, tmp_path)
    assert other.hear() == "ready"
    assert address_of(tmp_path) == "http://127.0.0.1:1"
    with only_page(tmp_path) as note:
        assert note is None
    other.kill()

    assert (tmp_path / ADDRESS_FILE).exists()
    assert address_of(tmp_path) is None
    with only_page(tmp_path) as note:
        assert note is not None


async def test_one_that_never_says_where_it_is_is_not_waited_for_long(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_file, "_WAIT_SECONDS", 0.001)
    async with opened(configure()) as services:
        folder = (await services.store()).scope.folder
        with only_page(folder), pytest.raises(SetupError, match="doesn't answer"):
            async with running(services, 0):
                raise AssertionError


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b"[]"])
def test_a_note_that_cannot_be_read_is_said(tmp_path: Path, content: bytes) -> None:
    with only_page(tmp_path) as note:
        assert note is not None
        note("http://127.0.0.1:1", 1)
        (tmp_path / ADDRESS_FILE).write_bytes(content)
        with pytest.raises(SetupError, match="The file of the page cannot be used"):
            address_of(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other ways to share")
def test_a_note_that_others_may_have_written_is_not_believed(tmp_path: Path) -> None:
    with only_page(tmp_path) as note:
        assert note is not None
        note("http://127.0.0.1:1", 1)
        (tmp_path / ADDRESS_FILE).chmod(0o666)
        with pytest.raises(SetupError, match="The file of the page cannot be used"):
            address_of(tmp_path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(SetupError, match="The file of the page cannot be used"),
        only_page(tmp_path / "file"),
    ):
        raise AssertionError


def test_a_server_that_nobody_needs_the_page_of_imports_none_of_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNUSED, tmp_path], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("url", "is_reachable"),
    [
        (None, False),
        ("http://127.0.0.1:8788/board", False),
        ("http://localhost:8788/board", False),
        ("https://orders.example/board", True),
    ],
)
def test_the_settings_tell_who_can_reach_it(url: str | None, is_reachable: bool) -> None:
    assert Settings(board_url=url).board_is_reachable == is_reachable


async def test_one_that_ends_before_it_answers_is_not_waited_for(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def startup(*_: object, **__: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(QuietServer, "startup", startup)
    async with opened(configure()) as services:
        with pytest.raises(SetupError, match="The page ended before it answered"):
            await start_within(services)
