"""The page of two machines with one database, behind a balancer that sends each request to the other one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import anyio
import httpx2
import pytest
from tests.conftest import Configure
from tests.postgres import Schemas
from tests.serving.http.test_run import TOKEN, bearer, site
from tests.tools.test_refunds import Time
from tests.web.visitor import PIN, Visitor, listed

from clawver_orders.caller import Script
from clawver_orders.services import Services, Store, opened
from clawver_orders.settings import Settings
from clawver_orders.storage import engine
from clawver_orders.storage.pin import Pin
from clawver_orders.web import filters, orders, sessions
from clawver_orders.web.all_stores import NOTHING_OPENED, AllStores
from clawver_orders.web.codes import make, redeem
from clawver_orders.web.page import Board
from clawver_orders.web.rendering import Place
from clawver_orders.web.sessions import (
    COOKIE,
    LASTS_SECONDS,
    Session,
    SharedSessions,
    form_token,
    new_secret,
    place_of,
    tables,
)
from clawver_orders.web.store_page import CANNOT_BE_SHOWN
from clawver_sandbox.shop import Shop

ADDRESS = "http://127.0.0.1:8788"
LONG_PIN = "example-4728"


class RoundRobin(httpx2.AsyncBaseTransport):
    """A balancer: each request goes to the machine after the one before."""

    def __init__(self, *machines: httpx2.AsyncBaseTransport) -> None:
        self.machines = machines
        self.asked = [0] * len(machines)
        self.turn = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.turn = (self.turn + 1) % len(self.machines)
        self.asked[self.turn] += 1
        return await self.machines[self.turn].handle_async_request(request)

    async def aclose(self) -> None:
        for each in self.machines:
            await each.aclose()


class Both:
    """Two machines, and a browser behind their balancer."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.settings: list[Settings] = []
        self.services: list[Services] = []
        self.stores: list[Store] = []
        self.balancer = RoundRobin()

    def visitor(self) -> Visitor:
        visitor = Visitor(ADDRESS)
        visitor.http = httpx2.AsyncClient(transport=self.balancer, follow_redirects=True)
        return visitor

    async def signed_in(self) -> Visitor:
        visitor = self.visitor()
        await visitor.sign_in()
        return visitor

    async def wanted(self, machine: int = 0, order_id: str = "ord_shirt") -> str:
        desk = self.stores[machine].desk
        outcome = await desk.refund(order_id, 700, "Torn", (), Script("agent 1"))
        assert outcome.wish is not None
        return outcome.wish.refund_id


@pytest.fixture
def machine(configure: Configure, shop: Shop, tmp_path: Path, schemas: Schemas) -> Any:
    return schemas.machine(configure, tmp_path, shop.details()["id"])


@pytest.fixture
async def both(machine: Any) -> AsyncIterator[Both]:
    made = Both(time := Time())
    async with AsyncExitStack() as open_:
        pages = []
        for name in ("one", "two"):
            settings = machine(name, refund_approval="pin")
            services = await open_.enter_async_context(
                opened(settings, lambda: time.at, lambda: time.up)
            )
            store = await services.store()
            page = Board(services, store, Place(ADDRESS, None)).app
            pages.append(httpx2.ASGITransport(page))
            made.settings.append(settings)
            made.services.append(services)
            made.stores.append(store)
        made.balancer = RoundRobin(*pages)
        made.stores[0].pin.set(PIN, None)
        yield made


async def test_a_person_signs_in_reads_and_approves_though_each_request_goes_to_another_machine(
    both: Both, shop: Shop, tmp_path: Path
) -> None:
    refund_id = await both.wanted()
    visitor = both.visitor()
    assert "Then you'll see what you were asked about" in await visitor.go(f"/refund/{refund_id}")
    shown = await visitor.press("signin", pin=PIN)
    assert "Refund $7.00? on order ord_shirt" in shown
    assert "the PIN is wrong" in await visitor.press("approve", pin="example-473")
    assert shop.refunds() == []
    assert "Refunded $7.00" in await visitor.press("approve", pin=PIN)
    assert "Refunded $7.00" in await visitor.go(f"/refund/{refund_id}/done")
    assert min(both.balancer.asked) >= 3

    assert shop.refunds() == [("ord_shirt", 700)]
    assert not list(tmp_path.rglob("board*"))  # noqa: ASYNC240


async def test_a_form_needs_the_token_of_its_session_on_every_machine(
    both: Both, shop: Shop
) -> None:
    refund_id = await both.wanted()
    visitor, other = await both.signed_in(), await both.signed_in()
    for each in (visitor, other):
        await each.go(f"/refund/{refund_id}")
    foreign = other.forms("approve")[0].fields["form_token"]
    for token in ("", "x", foreign):
        await visitor.go(f"/refund/{refund_id}")
        said = await visitor.press("approve", pin=PIN, form_token=token)
        assert "That form didn't come from this page, so nothing was done." in said

    assert shop.refunds() == []


async def test_whoever_signs_out_is_out_on_every_machine(both: Both) -> None:
    visitor = await both.signed_in()
    await visitor.go()
    [cookie] = [f"{COOKIE}={each.value}" for each in visitor.http.cookies.jar]
    await visitor.press("signout")
    answers = [
        await visitor.http.get(f"{visitor.home}/", headers={"Cookie": cookie}) for _ in range(2)
    ]

    assert [each.status_code for each in answers] == [401, 401]


@pytest.mark.parametrize(("seconds", "status"), [(-60, 200), (60, 401)])
async def test_a_session_ends_on_every_machine(both: Both, seconds: int, status: int) -> None:
    visitor = await both.signed_in()
    both.time.pass_by(LASTS_SECONDS + seconds)
    statuses = []
    for _ in range(2):
        await visitor.go()
        statuses.append(visitor.last.status_code)

    assert statuses == [status, status]


async def test_another_cookie_opens_no_session(both: Both) -> None:
    visitor = await both.signed_in()
    cookies: list[dict[str, str]] = [{}, {"Cookie": f"{COOKIE}=x"}, {"Cookie": f"{COOKIE}="}]
    async with httpx2.AsyncClient(transport=both.balancer) as http:
        answers = [await http.get(f"{visitor.home}/", headers=each) for each in cookies * 2]

    assert {each.status_code for each in answers} == {401}


async def test_so_many_sessions_are_kept_and_no_more(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 1)
    first = await both.signed_in()
    for _ in range(2):
        await first.go()
        assert first.last.status_code == 200
    both.time.pass_by(1.0)
    second = await both.signed_in()
    found = []
    for each in (first, second, first, second):
        await each.go()
        found.append(each.last.status_code)
        both.balancer.turn = len(found) // 2

    assert found == [401, 200, 401, 200]


def kept_text(schemas: Schemas, schema: str) -> str:
    """All that the database keeps of the page."""
    with schemas.server.connection() as rows:
        found = [
            tuple(row)
            for table in ("session", "code")
            for row in rows.execute(f'SELECT * FROM "{schema}".{table}'.encode()).fetchall()  # noqa: S608
        ]
    return str(found)


async def test_a_code_of_one_machine_signs_in_on_another_once(
    both: Both, tmp_path: Path, schemas: Schemas
) -> None:
    one, two = both.stores
    shared = [tables(each, store.scope) for each, store in zip(both.settings, both.stores, strict=True)]  # fmt: skip
    now = both.services[0].instant
    code = await anyio.to_thread.run_sync(make, one.scope.folder, now(), shared[0])
    assert code not in kept_text(schemas, f"{one.scope.schema}_page")
    assert not redeem(two.scope.folder, "x", now(), shared[1])
    both.balancer.turn = 0  # the second machine is next
    visitor = both.visitor()
    await visitor.post(f"{ADDRESS}/signin", {"code": code}, origin="null")
    assert visitor.last.status_code == 200
    [cookie] = visitor.http.cookies.jar
    assert cookie.value is not None
    assert cookie.value not in kept_text(schemas, f"{one.scope.schema}_page")
    again = await both.visitor().post(f"{ADDRESS}/signin", {"code": code}, origin="null")
    assert "That code was used already, or is older than two minutes." in again
    assert not list(tmp_path.rglob("board-code.json"))  # noqa: ASYNC240


@pytest.mark.parametrize(
    ("seconds", "is_good"), [(119, True), (121, False), (-1, True), (-121, False)]
)
async def test_a_code_is_good_for_two_minutes_by_the_clock_of_the_database(
    both: Both, seconds: float, is_good: bool
) -> None:
    one, two = both.stores
    first, second = (tables(each, one.scope) for each in both.settings)
    made = both.services[0].instant()
    code = make(one.scope.folder, made, first)
    both.time.at += timedelta(seconds=seconds)
    clock = both.services[1].instant()
    for each in (first, second):
        assert each is not None
        each.__dict__["_compare_clocks"] = lambda _: None
        each.__dict__["clock_ahead"] = timedelta()

    assert redeem(two.scope.folder, code, clock, second) == is_good


async def test_while_the_database_is_away_the_page_says_so(
    both: Both, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund_id = await both.wanted()
    visitor, stranger = await both.signed_in(), both.visitor()
    await visitor.go(f"/refund/{refund_id}")
    for each in both.stores:
        await each.recorder.all_kept()  # or it gives a good connection back later
    with monkeypatch.context() as changes:
        server = engine.server_of(both.settings[0])
        assert server is not None
        server.close()
        changes.setattr(server, "_url", "postgresql://clawver:password_example@127.0.0.1:1/orders")
        changes.setattr(server, "_down_until", 0.0)
        said = [await visitor.go(), await visitor.post(f"{ADDRESS}/signin", {"code": "x"})]
        await visitor.post(f"{visitor.home}/refund/{refund_id}/approve", {"pin": PIN})
        changes.setattr(both.stores[0].pin, "check", lambda *_, **__: None)
        changes.setattr(both.stores[1].pin, "check", lambda *_, **__: None)
        said.append(await stranger.sign_in())

    assert ["The database of who has signed in cannot be reached." in each for each in said] == [True] * 3  # fmt: skip
    assert (visitor.last.status_code, stranger.last.status_code) == (503, 503)
    assert "password_example" not in "".join(said)
    assert shop.refunds() == []


async def test_a_page_with_another_policy_says_that_this_is_why_nothing_was_sent(
    both: Both, shop: Shop, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[refund]\nwindow_days = 60\n", "utf-8")
    other = both.stores[1].desk
    refund_id = await both.wanted()
    visitor = await both.signed_in()
    await visitor.go(f"/refund/{refund_id}")
    own = both.settings[1].model_copy(update={"refund_policy": policy})
    other._settings = other._gatherer._settings = both.services[1].settings = own
    both.balancer.turn = 0  # the second machine is next
    said = await visitor.press("approve", pin=PIN)

    assert "You saw this refund under another refund policy than the one of the server" in said
    assert shop.refunds() == []


async def test_a_list_of_orders_and_its_pages_are_known_on_every_machine(
    both: Both, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "ROWS", 2)
    monkeypatch.setattr(filters, "MOST_LISTS", 3)
    for _ in range(3):
        shop.sell(total_in_cents=1200)
    for store in both.stores:
        await store.syncing(lambda *_: None).run()
    visitor = await both.signed_in()
    await visitor.go("/orders")
    await visitor.press("orders", 0, search="ord_shirt")
    found = visitor.last.url.path
    assert listed(visitor) == ["ord_shirt"]
    await visitor.press("orders", 0, search="ord_shirt")
    assert visitor.last.url.path == found
    path = found.partition(visitor.home.partition("8788")[2])[2]
    for _ in range(2):
        await visitor.go(path)
        assert listed(visitor) == ["ord_shirt"]
    pages = []
    for number in (1, 2, 2, 3, 1, 2):
        await visitor.go(f"/orders?page={number}")
        pages.append(listed(visitor))
    assert pages[0] == pages[4]
    assert pages[1] == pages[2] == pages[5]
    assert len({str(each) for each in pages}) == 3
    for word in ("one", "two", "three"):
        await visitor.go("/orders")
        await visitor.press("orders", 0, search=word)
    await visitor.go(path)
    assert visitor.last.url.path.endswith("/orders")  # it made room for others
    await visitor.press("signout")
    shared = tables(both.settings[0], both.stores[0].scope)
    assert shared is not None
    with shared.reading() as rows:
        assert rows.execute("SELECT * FROM search").fetchall() == []


async def test_what_another_machine_noted_shows_with_the_next_look(both: Both, shop: Shop) -> None:
    visitor = await both.signed_in()
    both.balancer.turn = 1  # the first machine is next
    assert "Refund $7.00" not in await visitor.go()
    await both.wanted(machine=1)
    both.balancer.turn = 1
    waiting = await visitor.go()
    await visitor.go(f"/refund/{await both.wanted(machine=1)}")
    both.balancer.turn = 1
    await visitor.press("decline")
    both.balancer.turn = 1
    declined = await visitor.go()

    assert "1 refund waits for you" in waiting
    assert "1 refund waits" not in declined
    assert shop.refunds() == []


async def test_who_signed_in_to_all_stores_on_one_machine_is_signed_in_on_another(
    machine: Any,
) -> None:
    replicas = [
        AllStores({"prints": machine(name, refund_approval="pin")}, Place(ADDRESS, None))
        for name in ("one", "two")
    ]
    board = await replicas[0]._board("prints")
    board._store.pin.set(PIN, None)
    await wanted(machine("three", refund_approval="pin"))
    visitor = Visitor(f"{ADDRESS}/all")
    balancer = RoundRobin(*(httpx2.ASGITransport(each) for each in replicas))
    visitor.http = httpx2.AsyncClient(transport=balancer, follow_redirects=True)
    await visitor.go("/")
    balancer.turn = 0
    shown = await visitor.press("signin", store="prints", pin=PIN)
    again = [await visitor.go("/") for _ in range(2)]
    await visitor.press("signout")
    after = [await visitor.go("/") for _ in range(2)]
    await visitor.http.aclose()
    for each in replicas:
        await each.close()

    assert ["1 refund waits for you" in each for each in (shown, *again)] == [True] * 3
    assert ["Sign in" in each for each in after] == [True, True]


async def wanted(settings: Settings) -> None:
    """A refund that an agent wants, and that waits for a person."""
    async with opened(settings) as services:
        desk = (await services.store()).desk
        await desk.refund("ord_shirt", 700, "Torn", (), Script())


async def test_a_session_that_is_carried_ends_when_the_first_one_would_have(both: Both) -> None:
    shared = [
        SharedSessions(database, services.instant)
        for each, store, services in zip(both.settings, both.stores, both.services, strict=True)
        if (database := tables(each, store.scope)) is not None
    ]
    old = await shared[0].begin(first := new_secret())
    await shared[1].carry(old, second := new_secret())
    await shared[0].carry(old, new_secret())  # it has ended already

    found = await shared[0].find(place_of(second), [second])
    assert found is not None
    assert found.ends_at == old.ends_at
    assert await shared[1].find(place_of(first), [first]) is None


@pytest.mark.parametrize("is_reachable", [False, True])
async def test_while_the_database_is_away_all_stores_say_so(
    machine: Any, monkeypatch: pytest.MonkeyPatch, is_reachable: bool
) -> None:
    settings = machine("one", refund_approval="pin")
    page = AllStores({"prints": settings}, Place(ADDRESS, None, is_reachable))
    store = (board := await page._board("prints"))._store
    store.pin.set(LONG_PIN, None, is_reachable=is_reachable)
    in_, out = Visitor(f"{ADDRESS}/all"), Visitor(f"{ADDRESS}/all")
    for each in (in_, out):
        each.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(page), follow_redirects=True)
        await each.go("/")
    await in_.press("signin", store="prints", pin=LONG_PIN)
    await store.recorder.all_kept()  # or it gives a good connection back later
    with monkeypatch.context() as changes:
        server = engine.server_of(settings)
        assert server is not None
        server.close()
        changes.setattr(server, "_url", "postgresql://clawver:password_example@127.0.0.1:1/orders")
        changes.setattr(server, "_down_until", 0.0)
        changes.setattr(board._store.pin, "check", lambda *_, **__: None)
        changes.setattr(Pin, "is_long", True)
        said = [await in_.press("signout"), await in_.go("/"), await in_.go("/go/prints/today")]
        assert [in_.last.status_code] == [503]
        said.append(await out.press("signin", store="prints", pin=LONG_PIN))
        changes.setattr(SharedSessions, "find", found := AsyncMock())
        found.return_value = Session("x" * 22, "", 0, b"")
        said.append(await in_.post(f"{in_.home}/signout", {"form_token": form_token(own(in_))}))
        code = {"code": "prints:x"}
        refused = await out.post(f"{ADDRESS}/all/signin", code)
        assert (NOTHING_OPENED if is_reachable else "That code was used already") in refused
    for each in (in_, out):
        await each.http.aclose()
    await page.close()

    away = (
        CANNOT_BE_SHOWN if is_reachable else "The database of who has signed in cannot be reached."
    )
    assert [away in each for each in said] == [True] * 5
    assert "password_example" not in "".join(said)
    assert not out.http.cookies
    assert [*in_.http.cookies]


def own(visitor: Visitor) -> str:
    """What the cookie of the page of all stores holds."""
    return next(str(each.value) for each in visitor.http.cookies.jar if "/all/" in each.path)


@pytest.mark.slow
async def test_two_servers_behind_a_balancer_refund_once(
    live: dict[str, str], machine: Any, shop: Shop, schemas: Schemas, tmp_path: Path
) -> None:
    served = live | {
        "CLAWVER_HTTP_TOKEN": TOKEN,
        "CLAWVER_BOARD_URL": f"{ADDRESS}/board",
        "CLAWVER_REFUND_APPROVAL": "pin",
        "CLAWVER_DATABASE_URL": schemas.url,
    }
    async with opened(machine("three", refund_approval="pin")) as services:
        store = await services.store()
        store.pin.set(LONG_PIN, None)
        outcome = await store.desk.refund("ord_shirt", 700, "Torn", (), Script())
        assert outcome.wish is not None
        refund_id = outcome.wish.refund_id
    one, two = (served | {"CLAWVER_STATE_DIR": str(tmp_path / each)} for each in ("one", "two"))
    with site(one, "--port", "0") as first, site(two, "--port", "0") as second:
        visitor = Visitor(f"{ADDRESS}/board")
        visitor.http = httpx2.AsyncClient(
            transport=RoundRobin(*(_Behind(each.base) for each in (first, second))),
            follow_redirects=True,
            timeout=60,
        )
        await visitor.go(f"/refund/{refund_id}")
        assert "Refund $7.00? on order ord_shirt" in await visitor.press("signin", pin=LONG_PIN)
        assert "Refunded $7.00" in await visitor.press("approve", pin=LONG_PIN)
        await visitor.http.aclose()
        assert httpx2.get(f"{first.base}/board/s/x/", headers=bearer(TOKEN), trust_env=False).status_code == 401  # fmt: skip

    assert shop.refunds() == [("ord_shirt", 700)]


class _Behind(httpx2.AsyncBaseTransport):
    """One server, whose public address is that of the balancer."""

    def __init__(self, base: str) -> None:
        self._base = httpx2.URL(base)
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url.copy_with(host=self._base.host, port=self._base.port)
        onward = httpx2.Request(
            request.method, url, headers=request.headers, content=await request.aread()
        )
        response = await self._inner.handle_async_request(onward)
        body = await response.aread()
        return httpx2.Response(
            response.status_code, headers=response.headers, content=body, request=request
        )

    async def aclose(self) -> None:
        await self._inner.aclose()
