"""A sandbox store for each test, over a real socket, and clients of both protocol eras."""

import compileall
import functools
import json
import logging
import os
import py_compile
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpcore2
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from hypothesis import HealthCheck
from hypothesis import settings as generating
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.client import ClientExtension
from tests.leftovers import (  # the hooks are found here by their names
    RUN,
    TEMPORARY,
    move_to,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
)
from tests.processes import UNPRIVILEGED, Other, Start

import clawver_sandbox
from clawver_orders.clawver import transport
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.clawver.transport import Transport
from clawver_orders.install import installation
from clawver_orders.services import Services, opened
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.tools import offered
from clawver_orders.webhooks.inbox import Inbox
from clawver_sandbox.api import build_app
from clawver_sandbox.catalogue import sales
from clawver_sandbox.serving import running
from clawver_sandbox.shop import API_KEY, Shop

if TYPE_CHECKING:
    from tests.postgres import Schemas

__all__ = ["pytest_sessionfinish", "pytest_sessionstart", "pytest_terminal_summary"]
KEY = "claw_sk_live_example_of_tests"
DATABASE_URL = os.environ.get("CLAWVER_TEST_DATABASE_URL")  # no test sees it
Configure = Callable[..., Settings]
Connect = Callable[..., AbstractAsyncContextManager[Client]]


generating.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
generating.load_profile("ours")  # how long a value takes is the machine's affair


sys.dont_write_bytecode = False
"""What pytest makes of each test is kept, whatever the shell says: it takes longer than all the rest of
reading them, and every process of every run would do it again."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes share the tests: two for each core, since half of the time is waiting.

    More than eight would spend their time on reading the tests.
    One test needs no company, and what is installed for `clients` is installed once.
    """
    if config.option.markexpr == "clients" or any("::" in each for each in config.args):
        return 0
    return min(2 * (os.cpu_count() or 1), 8)


def pytest_xdist_setupnodes() -> None:
    """Compile the server once, where each of the many processes to come would have to."""
    by_content = py_compile.PycInvalidationMode.CHECKED_HASH
    server = Path(clawver_sandbox.__file__).parents[1]
    compileall.compile_dir(server, quiet=1, invalidation_mode=by_content)


LONGEST = {"test_crash.py", "test_machine.py", "test_opening.py", "test_whole_store.py"}
"""What begins first, so that no process is at work on one of these alone at the end."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is tried with many values is tried in the newer era now, and in the older one with the slow tests."""
    for item in items:
        given = (
            item.callspec.params
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else {}
        )
        is_ours = item.get_closest_marker("clients") is None
        if given.get("era") == "legacy" and len(given) > 1 and is_ours:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.name not in LONGEST)


def slow(*values: object) -> object:
    """Parameters that are left to the run of the slow tests."""
    return pytest.param(*values, marks=pytest.mark.slow)


def long(*values: object) -> object:
    """Parameters that are left to the run of what takes long."""
    return pytest.param(*values, marks=pytest.mark.long)


def with_slow(now: Sequence[object], later: Sequence[object]) -> list[object]:
    """Values of one parameter, of which most are left to the run of the slow tests."""
    return [*now, *(slow(each) for each in later)]


def offered_by_default() -> list[str]:
    """The names of the tools that a server offers whose settings are the defaults."""
    return [tool.name for tool in offered(Settings())]


@pytest.fixture
def state(tmp_path: Path) -> dict[str, str]:
    """The variables of processes that work on one sandbox store."""
    return {"CLAWVER_STATE_DIR": str(tmp_path / "state"), "CLAWVER_SANDBOX": "on"}


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    """The inbox that these processes share, seen from here."""
    return Inbox(tmp_path / "state" / "stores" / "sandbox" / "inbox.sqlite3", timedelta(days=30))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def certificates_are_read_once() -> Iterator[None]:
    """Reading the machine's takes a client 20 ms, and no test speaks https."""
    with pytest.MonkeyPatch.context() as changes:
        context = functools.cache(httpcore2.default_ssl_context)
        changes.setattr(httpcore2, "default_ssl_context", context)
        yield


@pytest.fixture(scope="session", autouse=True)
def schemas_are_checked_once() -> Iterator[None]:
    """A client checks the schema of a tool's answer for each connection, which takes it 12 ms."""
    found_good: set[str] = set()

    def check(schema: Any) -> None:
        text = json.dumps(schema, sort_keys=True)
        if text not in found_good:
            once(schema)
            found_good.add(text)

    once = Draft202012Validator.check_schema
    with pytest.MonkeyPatch.context() as changes:
        changes.setattr(Draft202012Validator, "check_schema", check)
        yield


@pytest.fixture(scope="session", autouse=True)
def reads_are_repeated_sooner() -> Iterator[None]:
    """Many tests are about what is said once all repetitions of a read have failed."""
    with pytest.MonkeyPatch.context() as changes:
        changes.setattr(transport, "FIRST_WAIT_IN_SECONDS", 0.01)
        yield


@pytest.fixture(scope="session", autouse=True)
def a_moments_sales_are_made_up_once() -> Iterator[None]:
    """A store opens with the same orders in every test whose time is the test's own. Nobody changes them: a store keeps them as texts."""
    with pytest.MonkeyPatch.context() as changes:
        changes.setattr("clawver_sandbox.shop.sales", functools.lru_cache(maxsize=8)(sales))
        yield


@pytest.fixture(scope="session", autouse=True)
def interrupts_are_heard() -> None:
    """A shell that starts the suite with & has it ignore Ctrl+C, and so would every child."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def fixtures_keep_to_themselves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What fixtures for several tests start has a user's folder of its own."""
    with pytest.MonkeyPatch.context() as changes:
        move_to(tmp_path_factory.mktemp("home"), changes)
        changes.setenv("TZ", "UTC")
        yield


@pytest.fixture(autouse=True)
def keeps_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    """A test and its processes have a user's folder of their own, and no settings of the machine.

    The folder is beside that of the test, so that nothing is in there but what the test puts there.
    """
    for name in os.environ:
        if name.startswith("CLAW"):
            monkeypatch.delenv(name)
    own = tmp_path.with_name(f"{tmp_path.name}-home")
    move_to(own, monkeypatch)
    monkeypatch.setenv("TZ", "UTC")  # the days of a test are not those of the machine
    yield
    if request.node.get_closest_marker("clients") is None:  # other people's programs leave some
        forgotten = sorted(path.name for path in (own / "tmp").iterdir())
        assert not forgotten, f"temporary files are left: {forgotten}"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a release were on the package index and the project had a public home."""
    monkeypatch.setattr(installation, "PUBLISHED", "0.1.0")
    monkeypatch.setattr(installation, "REGISTRY_NAME", "example.orders/clawver-orders")


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Takes back what `logs.set_up` does."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """The other side of the wire, for arranging and for asserting."""
    store = Shop.open(tmp_path / "store.sqlite3")
    yield store
    store.close()


@pytest.fixture
def store_url(shop: Shop) -> Iterator[str]:
    """The shop on a real port. A real store knows keys of both kinds."""
    with running(shop, app=build_app(shop, keys=(KEY, API_KEY))) as url:
        yield url


@pytest.fixture
def configure(store_url: str, shop: Shop, tmp_path: Path) -> Configure:
    """Settings for the shop, on a machine that has met it; anything can be changed by name."""

    def make(**changed: Any) -> Settings:
        values: dict[str, Any] = {
            "api_key": KEY,
            "api_url": f"{store_url}/v1",
            "state_dir": tmp_path / "state",
            "timeout_seconds": 30.0,
            "requests_per_minute": 10**6,
            "requests_per_day": 10**6,
            "refund_approval": "off",
            "toolsets": "all",
        }
        settings = Settings(**values | changed)
        if not {"api_key", "api_url", "state_dir", "database_url"} & set(changed):
            scopes.note(settings, shop.details()["id"], shop.details()["name"])
        return settings

    return make


@pytest.fixture
def machine(configure: Configure, shop: Shop, tmp_path: Path, schemas: "Schemas") -> Any:
    """Settings of a machine by its name; one database keeps what belongs to the store."""

    def of(name: str, **changed: Any) -> Settings:
        there = {"state_dir": tmp_path / name, "database_url": schemas.url}
        made = configure(**there | changed)
        schemas.are_used_by(made, shop.details()["id"])
        return made

    return of


def folder_of(settings: Settings) -> Path:
    """Where what belongs to the store is kept, on a machine that has met it."""
    scope = scopes.known(settings)
    assert scope is not None
    return scope.folder


def inbox_of(settings: Settings) -> Inbox:
    """The inbox of the store, on a machine that has met it."""
    return Inbox(folder_of(settings) / "inbox.sqlite3", timedelta(days=settings.inbox_days))


def leading_to(store_url: str, state: Path) -> dict[str, str]:
    """What points a command at a shop."""
    return {
        "CLAW_API_KEY": KEY,
        "CLAWVER_API_URL": f"{store_url}/v1",
        "CLAWVER_STATE_DIR": str(state),
        "CLAWVER_REFUND_APPROVAL": "off",
    }


@pytest.fixture
def live(store_url: str, tmp_path: Path) -> dict[str, str]:
    """What points a command at the test's own shop."""
    return leading_to(store_url, tmp_path / "state")


@pytest.fixture
async def services(configure: Configure) -> AsyncIterator[Services]:
    async with opened(configure()) as parts:
        yield parts


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> str:
    """Both protocol eras."""
    return str(request.param)


@pytest.fixture
def connect(configure: Configure) -> Connect:
    """A real client, connected to a server for the shop."""

    @asynccontextmanager
    async def to(
        era: str = "auto", *, extensions: Sequence[ClientExtension] = (), **changed: Any
    ) -> AsyncIterator[Client]:
        server = build_server(configure(**changed))
        async with Client(server, mode=era, extensions=extensions) as client:
            yield client

    return to


def client_of(settings: Settings, http: httpx2.AsyncClient, **changed: Any) -> Clawver:
    """A client of the API with an allowance of its own, in the state folder of the settings."""
    budget = Budget(Path(":memory:"), 10**6, 10**6, time.time)
    return Clawver(Transport(settings, http, fresh=http, budget=budget, **changed))


Answer = Callable[[str], tuple[bytes, bytes]]


@asynccontextmanager
async def telling(answer: Answer) -> AsyncIterator[str]:
    """A server on a real port that says exactly what it is told to.

    Args:
        answer: Takes the path that was asked for; gives header lines and a body. A header
            `X-Status` becomes the status.
    """
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's

    async def say(stream: SocketStream) -> None:
        gone = (anyio.EndOfStream, anyio.BrokenResourceError)  # the client has given up
        with suppress(*gone):
            async with stream:
                await say_once(stream)

    async def say_once(stream: SocketStream) -> None:
        path = (await stream.receive()).split(b" ")[1].decode()
        headers, body = answer(path)
        status = 200
        if headers.startswith(b"X-Status: "):
            status, headers = int(headers.split()[1]), b""
        head = b"HTTP/1.1 %d x\r\nConnection: close\r\nContent-Length: %d\r\n" % (
            status,
            len(body),
        )
        await stream.send(head + headers + b"\r\n" + body)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, say)
        yield f"http://127.0.0.1:{port}/v1"
        tasks.cancel_scope.cancel()


def succeeding(data: object, **about: object) -> tuple[bytes, bytes]:
    """A successful answer of Clawver's form, with what stands beside its data."""
    return b"", json.dumps({"success": True, "data": data} | about).encode()


@pytest.fixture
def another() -> Iterator[Start]:
    """Starts other processes, and leaves none behind."""
    started: list[Other] = []

    def start(code: str, *arguments: object, before: str = "") -> Other:
        started.append(Other(code, *arguments, before=before))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture(scope="session")
def schemas() -> "Iterator[Schemas]":
    """Schemas in a PostgreSQL server of this run, or in the one that is named for the tests."""
    from tests.postgres import Schemas, shared  # which most processes of a run never need

    with shared(DATABASE_URL) as url:
        made = Schemas(url)
        yield made
        if DATABASE_URL:  # one of our own goes with all that is in it
            made.drop()
        made.server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a test keeps what it keeps. The time is the test's own."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    from clawver_orders.storage.postgres import PostgresDatabase

    schemas: Schemas = request.getfixturevalue("schemas")
    monkeypatch.setattr(PostgresDatabase, "_compare_clocks", lambda *_: None)
    yield "postgres"
    schemas.empty()


@pytest.fixture
def common_folder() -> Iterator[Path]:
    """A folder of a user for whom the modes of files hold, which they do not for root."""
    folder = Path(tempfile.mkdtemp(prefix=f"{RUN}-", dir=TEMPORARY))  # others cannot enter ours
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        os.seteuid(UNPRIVILEGED)
    yield folder
    if is_root:
        os.seteuid(0)
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o700)
    shutil.rmtree(folder)
