"""The page of all stores: each store shows itself to whoever signed in to it, and to nobody else."""

import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2
import pytest
from tests.serving.http.test_run import site
from tests.serving.test_several_stores import stores_of
from tests.test_store_file import TWO, Write, both, write
from tests.test_stores import TEST_KEY, Address, at
from tests.web.visitor import PIN, Forms, Visitor

from clawver_orders.caller import Script
from clawver_orders.cli.board import _codes
from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.services import Services, opened
from clawver_orders.settings import Settings, Stores
from clawver_orders.storage import scopes
from clawver_orders.web import codes
from clawver_orders.web.address_file import address_of
from clawver_orders.web.starting import AllUp, running, running_all

__all__ = ["at", "write"]
OTHER_PIN = "example-815"
TEXT = TWO.replace('refund_approval = "agent"', 'refund_approval = "chat"').replace(
    "read_only = false", 'refund_approval = "chat"'
)


@dataclass
class AllRoom:
    """The page of all stores, which is up, and what it is about."""

    up: AllUp
    stores: Stores
    visitors: list[Visitor] = field(default_factory=list)

    def settings(self, alias: str) -> Settings:
        settings = self.stores[alias]
        assert isinstance(settings, Settings)
        return settings

    def visitor(self) -> Visitor:
        """Somebody who has not signed in."""
        self.visitors.append(Visitor(self.up.address))
        return self.visitors[-1]

    async def sign_in(self, visitor: Visitor, store: str, pin: str = PIN) -> str:
        """Sign in from the page of all stores, as it stands before this visitor."""
        if not visitor.home:
            await visitor.go("/")
        return await visitor.press("signin", store=store, pin=pin)

    def code(self) -> str:
        """What a terminal hands over."""
        made = []
        for alias in self.stores:
            services = Services(self.settings(alias))
            scope = scopes.known(services.settings)
            assert scope is not None
            made.append(f"{alias}:{codes.make(scope.folder, services.instant())}")
        return " ".join(made)


def links(visitor: Visitor) -> list[str]:
    """Where the last page leads."""
    return Forms(visitor.last.text).links


async def wanted(settings: Settings, cents: int = 500) -> str:
    """A refund that an agent wants in a store, and that waits for a person."""
    async with opened(settings) as services:
        desk = (await services.store()).desk
        outcome = await desk.refund("ord_shirt", cents, "Torn", (), Script())
    assert outcome.wish is not None
    return outcome.wish.refund_id


async def prepared(stores: Stores) -> Stores:
    """The stores, each with its PIN."""
    for settings, pin in zip(stores.values(), (PIN, OTHER_PIN), strict=False):
        if isinstance(settings, Settings):
            async with opened(settings) as services:
                (await services.store()).pin.set(pin, None)
    return stores


@pytest.fixture
async def room(at: Address, write: Write) -> AsyncIterator[AllRoom]:
    stores = await prepared(stores_of(both(at, lambda **more: write(TEXT, **more))))
    async with running_all(stores, 0) as up:
        room = AllRoom(up, stores)
        yield room
        for visitor in room.visitors:
            await visitor.http.aclose()


async def test_each_store_is_shown_once_its_own_pin_was_typed(room: AllRoom, at: Address) -> None:
    await wanted(room.settings("prints"))
    await wanted(room.settings("photos"), 700)
    person = room.visitor()
    door = await person.go("/")
    first = await room.sign_in(person, "prints")
    second = await room.sign_in(person, "photos", OTHER_PIN)
    await person.http.get(person.home)

    assert "prints" not in door.replace("clawver-orders pin --store", "")
    assert "1 refund waits for you" in first
    assert "Ada's Prints" in first
    assert "$5.00" in first
    assert "You are signed in to 1 of 2." in first
    assert "photos" not in first
    assert "$7.00" not in first
    assert "2 refunds wait for you" in second
    assert "$5.00" in second
    assert "$7.00" in second
    assert "Sign in to another store" not in second


async def test_from_there_each_store_is_decided_about_on_its_own_page(
    room: AllRoom, at: Address
) -> None:
    refund_id = await wanted(room.settings("photos"), 700)
    person = room.visitor()
    await room.sign_in(person, "photos", OTHER_PIN)
    link = next(each for each in links(person) if each.endswith(refund_id))
    person.last = await person.http.get(str(person.last.url.join(link)))
    assert "Refund $7.00?" in Forms(person.last.text).text
    assert "/all/" in links(person)
    done = await person.press("approve")

    assert "Refunded $7.00" in done
    assert at.second.refunds() == [("ord_shirt", 700)]
    assert at.first.refunds() == []


@pytest.mark.parametrize(
    ("store", "pin", "said"),
    [
        ("prints", OTHER_PIN, "the PIN is wrong. 4 tries are left"),
        ("photos", PIN, "the PIN is wrong. 4 tries are left"),
        ("paintings", PIN, "There is no store of that name here."),
        ("all", "example-000", "No store has this PIN."),
    ],
)
async def test_what_opens_no_store_opens_nothing(
    room: AllRoom, store: str, pin: str, said: str
) -> None:
    person = room.visitor()
    assert said in await room.sign_in(person, store, pin)
    assert person.last.status_code == 403
    assert not person.http.cookies
    assert "Ada's Prints" not in person.last.text


async def test_all_means_every_store_that_has_the_pin(room: AllRoom) -> None:
    person = room.visitor()
    some = await room.sign_in(person, "all", OTHER_PIN)
    assert "You are signed in to 1 of 2." in some
    async with opened(room.settings("prints")) as services:
        (await services.store()).pin.set(OTHER_PIN, PIN)
    both_ = await room.sign_in(person, " ALL ", OTHER_PIN)
    assert "Sign in to another store" not in both_
    assert "Ada's Prints" in both_


async def test_a_wrong_pin_takes_nothing_from_whoever_is_signed_in(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    said = await room.sign_in(person, "photos", PIN)

    assert "the PIN is wrong." in said
    assert "Ada's Prints" in said
    assert "Ada's Prints" in await person.go("/")


async def test_a_terminal_signs_in_to_every_store_once(room: AllRoom) -> None:
    file = codes.hand_over(room.up.folder, room.up.address, room.code())
    (form,) = Forms(file.read_text("utf-8")).found
    first, second = room.visitor(), room.visitor()
    shown = await first.post(form.action, form.fields, origin="null")
    said = await second.post(form.action, form.fields, origin="null")

    assert "Nothing waits for you" in shown
    assert "Ada's Prints" in shown
    assert "Sign in to another store" not in shown
    assert "That code was used already, or is older than two minutes." in said
    assert not file.exists()


async def test_a_terminal_has_a_code_for_each_store_that_was_used(
    room: AllRoom, at: Address, write: Write
) -> None:
    problem = SetupError("NOWHERE does not hold the key.", next_step="Put it there.")
    twice = both(
        at, lambda **more: write(f'{TEXT}[stores.again]\nkey_env = "PRINTS_KEY"\n', **more)
    )
    again = Settings.from_environment(twice, store="again")
    stores = {"lost": problem, "new": at.settings(TEST_KEY), "again": again, **room.stores}

    made = _codes(stores)
    assert re.fullmatch("photos:[A-Za-z0-9_-]{43}", made)  # two names for one store are refused


@pytest.mark.parametrize("code", ["", "prints", "prints:", "nowhere:x", "prints:x photos:x", ":x"])
async def test_a_code_that_is_none_opens_nothing(room: AllRoom, code: str) -> None:
    person = room.visitor()
    said = await person.post(f"{room.up.address}/signin", {"code": code}, origin="null")

    assert "That code was used already, or is older than two minutes." in said
    assert not person.http.cookies


async def test_the_code_of_one_store_opens_no_other(room: AllRoom) -> None:
    prints, photos = (each.partition(":")[2] for each in room.code().split())
    person = room.visitor()
    swapped = f"prints:{photos} photos:{prints}"
    said = await person.post(f"{room.up.address}/signin", {"code": swapped}, origin="null")

    assert "That code was used already" in said


async def test_who_signs_out_is_signed_out_of_every_store(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    await room.sign_in(person, "photos", OTHER_PIN)
    pages = [each for each in links(person) if each.endswith("/today")]
    assert len(pages) == 2
    said = await person.press("signout")

    assert "Sign in" in said
    assert "Ada's Prints" not in await person.go("/")
    assert person.last.status_code == 401
    for page in pages:
        answer = await person.http.get(str(person.last.url.join(page)))
        assert answer.status_code == 401


async def test_who_signs_out_of_a_store_is_signed_out_of_it_here(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    await room.sign_in(person, "photos", OTHER_PIN)
    home = person.home
    link = next(each for each in links(person) if each.startswith("/prints/"))
    person.last = await person.http.get(str(person.last.url.join(link)))
    await person.press("signout")
    person.home = home

    shown = await person.go("/")
    assert "You are signed in to 1 of 2." in shown
    assert "Ada's Prints" not in shown


async def test_a_link_cannot_choose_where_somebody_signs_in(room: AllRoom) -> None:
    """Whoever knew the path could have the cookies sent to a server of their own on this machine."""
    chosen = "an-attackers-choice"
    person = room.visitor()
    url = f"{room.up.address}/s/{chosen}/signin"
    await person.post(url, {"store": "prints", "pin": PIN})

    assert person.last.status_code == 200
    assert chosen not in str(person.last.url)
    assert all(chosen not in cookie.path for cookie in person.http.cookies.jar)


async def test_cookies_go_nowhere_but_to_the_two_paths_and_no_script_reads_them(
    room: AllRoom,
) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    cookies = {cookie.path: cookie for cookie in person.http.cookies.jar}

    assert sorted(path.split("/s/")[0] for path in cookies) == ["/all", "/prints"]
    assert all(len(path.split("/s/")[1]) >= 16 for path in cookies)
    assert all(each.has_nonstandard_attr("HttpOnly") for each in cookies.values())


async def test_what_is_forged_shows_nothing(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    place = person.home.rsplit("/", 1)[1]
    (own,) = [each for each in person.http.cookies.jar if each.path.startswith("/all/")]
    assert own.value is not None
    store_place, secret = own.value.split(".")
    for name, value in (
        ("clawver_board-photos", own.value),  # the session of one store is none of another
        ("clawver_board-prints", f"{store_place}.{secret[:-1]}"),
        ("clawver_board-prints", f"{store_place}"),
        ("clawver_board-prints", f"{place}.{secret}"),
        ("clawver_board", secret),
        ("clawver_board-", own.value),
        ("clawver_board-all", own.value),
        ("clawver_board-nowhere", own.value),
        ("other-prints", own.value),
    ):
        answer = await forged(room, place, f"{name}={value}")
        assert (name, answer.status_code) == (name, 401)
        assert "Ada's Prints" not in answer.text
    again = await forged(room, place, f"{own.name}=x.y; {own.name}={own.value}")
    assert again.status_code == 200


async def forged(room: AllRoom, place: str, cookie: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.get(f"{room.up.address}/s/{place}/", headers={"Cookie": cookie})


async def test_a_form_of_another_page_does_nothing(room: AllRoom) -> None:
    person = room.visitor()
    fields = {"store": "prints", "pin": PIN}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        said = await person.post(f"{room.up.address}/signin", fields, origin=origin)
        assert "That form didn't come from this page" in said
    await room.sign_in(person, "prints")
    (form,) = person.forms("signout")
    url = str(person.last.url.join(form.action))
    assert "That form didn't come from this page" in await person.post(url, {"form_token": "x"})
    assert "That form didn't come from this page" in await person.post(url, {})
    said = await person.post(url, form.fields, origin="http://evil.example")
    assert "That form didn't come from this page" in said
    too_large = {"form_token": "x" * 20_000}
    assert "That form was too large." in await person.post(url, too_large)
    assert "That form was too large." in await person.post(f"{room.up.address}/signin", too_large)
    assert "Ada's Prints" in await person.go("/")


async def test_it_answers_to_its_own_names_alone(room: AllRoom) -> None:
    root = room.up.address.removesuffix("/all")
    async with httpx2.AsyncClient(trust_env=False) as http:
        for path in ("/", "/all/", "/prints/", "/nowhere"):
            answer = await http.get(f"{root}{path}", headers={"Host": "evil.example"})
            assert answer.status_code == 421
        for path in ("", "/", "/nowhere", "/refund/rfi_1"):
            answer = await http.get(f"{root}{path}", follow_redirects=True)
            assert answer.url.path == "/all/"
            assert "Sign in" in answer.text
            assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_stores_that_need_somebody_come_first(room: AllRoom) -> None:
    await wanted(room.settings("photos"))
    person = room.visitor()
    await room.sign_in(person, "prints")
    await room.sign_in(person, "photos", OTHER_PIN)
    headings = [each for each in links(person) if each.endswith("/today")]

    assert [each.split("/")[1] for each in headings] == ["photos", "prints"]


async def test_of_many_that_wait_the_first_are_shown_and_the_rest_are_counted(
    room: AllRoom, at: Address
) -> None:
    async with opened(room.settings("prints")) as services:
        desk = (await services.store()).desk
        for _ in range(6):
            sale = str(at.first.sell(total_in_cents=900)["id"])
            await desk.refund(sale, 500, "Torn", (), Script())
    person = room.visitor()
    shown = await room.sign_in(person, "prints")

    assert "6 refunds wait for you" in shown
    assert "And 1 more: see all that waits in Ada's Prints ." in shown


async def test_a_store_whose_ledger_cannot_be_read_says_so_and_hides_no_other(
    room: AllRoom,
) -> None:
    await wanted(room.settings("photos"))
    person = room.visitor()
    await room.sign_in(person, "prints")
    await room.sign_in(person, "photos", OTHER_PIN)
    await wanted(room.settings("prints"))
    scope = scopes.known(room.settings("prints"))
    assert scope is not None
    (scope.folder / "ledger.sqlite3").write_bytes(b"nothing of ours" * 100)
    shown = await person.go("/")

    assert "ledger" in shown
    assert "1 refund waits for you" in shown
    alone = room.visitor()
    await room.sign_in(alone, "prints")
    assert "Nothing that is known waits for you" in Forms(alone.last.text).text


async def test_what_clawver_does_not_answer_is_said_for_its_store(
    room: AllRoom, at: Address
) -> None:
    at.first.add_fault("status_before", times=1000, status=503)
    person = room.visitor()
    shown = await room.sign_in(person, "prints")

    assert "Clawver couldn't be asked at" in shown
    assert "Orders that aren't known here are missing." in shown


async def test_links_of_agents_lead_to_the_page_of_the_store(room: AllRoom) -> None:
    root = room.up.address.removesuffix("/all")
    for alias in room.stores:
        scope = scopes.known(room.settings(alias))
        assert scope is not None
        assert address_of(scope.folder) == f"{root}/{alias}" == room.up.stores[alias]
        async with opened(room.settings(alias)) as services, running(services) as page:
            assert (page.address, page.is_ours) == (f"{root}/{alias}", False)
    async with running_all(room.stores) as again:
        assert (again.address, again.is_ours, again.stores) == (room.up.address, False, {})


async def test_a_store_whose_page_is_up_elsewhere_is_left_there(at: Address, write: Write) -> None:
    stores = await prepared(stores_of(both(at, lambda **more: write(TEXT, **more))))
    photos = stores["photos"]
    assert isinstance(photos, Settings)
    async with opened(photos) as services, running(services, 0) as page:
        async with running_all(stores, 0) as up:
            said = up.stores["photos"]
            assert f"Another process shows the page of this store, at {page.address}." in str(said)
            assert isinstance(up.stores["prints"], str)
            room = AllRoom(up, stores)
            person = room.visitor()
            refused = await room.sign_in(person, "photos", OTHER_PIN)
            everything = await room.sign_in(person, "all")
            async with httpx2.AsyncClient(trust_env=False) as http:
                below = await http.get(f"{up.address.removesuffix('/all')}/photos/")
            await person.http.aclose()
        assert await is_up(page.address)
    assert "Another process shows the page of this store" in refused
    assert "You are signed in to 1 of 2." in everything
    assert (below.status_code, "Another process" in below.text) == (503, True)


async def is_up(address: str) -> bool:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return (await http.get(address)).status_code == 200


async def test_a_store_without_its_key_takes_nothing_from_the_others(
    at: Address, write: Write
) -> None:
    variables = both(at, lambda **more: write(TEXT, **more))
    stores: Stores = {
        "lost": SetupError("NOWHERE does not hold the key.", next_step="Put it there."),
        **await prepared(stores_of(variables)),
    }
    async with running_all(stores, 0) as up:
        room = AllRoom(up, stores)
        person = room.visitor()
        assert "NOWHERE does not hold the key." in await room.sign_in(person, "lost")
        shown = await room.sign_in(person, "prints")
        cookie = await forged(room, person.home.rsplit("/", 1)[1], "clawver_board-lost=x.y")
        await person.http.aclose()
    assert isinstance(up.stores["lost"], ClawverError)
    assert "You are signed in to 1 of 3." in shown
    assert cookie.status_code == 401


async def test_without_a_store_that_can_be_used_there_is_no_page() -> None:
    problem = SetupError("NOWHERE does not hold the key.", next_step="Put it there.")
    with pytest.raises(SetupError, match="NOWHERE"):
        async with running_all({"one": problem, "two": problem}, 0):
            pass


async def test_a_code_is_good_where_its_file_is_gone(room: AllRoom) -> None:
    person = room.visitor()
    shutil.rmtree(room.up.folder)
    code = room.code()
    shown = await person.post(f"{room.up.address}/signin", {"code": code}, origin="null")
    assert "Nothing waits for you" in shown


@pytest.mark.slow
async def test_over_http_it_is_at_the_address_of_the_page(at: Address, write: Write) -> None:
    variables = both(at, lambda **more: write(TEXT, **more))
    stores = await prepared(stores_of(variables))
    assert isinstance(stores["prints"], Settings)
    await wanted(stores["prints"])
    with site(variables | {"CLAWVER_BOARD_URL": "http://127.0.0.1:8788/board"}) as server:
        base = f"{server.base}/board"
        own = {"origin": "http://127.0.0.1:8788"}
        async with httpx2.AsyncClient(trust_env=False) as http:
            led = [(await http.get(f"{base}{path}")).headers["location"] for path in ("", "/")]
            door = await http.get(f"{base}/all/")
            fields = {"store": "prints", "pin": PIN}
            answer = await http.post(f"{base}/all/signin", data=fields, headers=own)
            place = answer.headers["location"]
            cookies = [each.partition(";")[0] for each in answer.headers.get_list("set-cookie")]
            headers = {"Cookie": "; ".join(cookies)}
            shown = await http.get(f"{server.base}{place}", headers=headers)
            code = {"code": "prints:x"}
            old = await http.post(f"{base}/all/signin", data=code, headers={"origin": "null"})
        bare = httpx2.get(f"{server.base}/mcp", trust_env=False)

    assert led == ["/board/all/", "/board/all/"]
    assert "Sign in" in door.text
    assert place.startswith("/board/all/s/")
    assert "1 refund waits for you" in shown.text
    assert bare.status_code != 200
    assert (old.status_code, "That code was used already" in old.text) == (403, True)
