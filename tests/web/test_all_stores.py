"""The page of all stores: each store shows itself to whoever signed in to it, and to nobody else."""

import re
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from tests.serving.http.test_run import site
from tests.serving.test_several_stores import stores_of
from tests.test_store_file import TWO, Write, both, write
from tests.test_stores import TEST_KEY, Address, at
from tests.web.visitor import PIN, Forms, Visitor

from clawver_orders.caller import Script
from clawver_orders.cli.board import _codes
from clawver_orders.errors import SetupError
from clawver_orders.services import Services, opened
from clawver_orders.settings import Settings, Stores
from clawver_orders.storage import scopes
from clawver_orders.web import all_stores, codes, today
from clawver_orders.web.address_file import address_of
from clawver_orders.web.sessions import (
    LASTS_SECONDS,
    OwnSessions,
    Session,
    new_secret,
    place_of,
    secret_for,
)
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

    @property
    def root(self) -> str:
        return self.up.address.removesuffix("/all")

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
        assert [*(await up.pages())] == ["prints", "photos"]
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
    assert "You are signed in to 1 of 2 stores." in first
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
        ("all", "example-000", "This opened no store: Nothing was sent: the PIN is wrong. 4 tries"),
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
    assert "You are signed in to 1 of 2 stores." in some
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


async def test_a_session_that_is_carried_ends_when_the_first_one_would_have() -> None:
    uptime = 0.0
    sessions = OwnSessions(lambda: uptime)
    old = await sessions.begin(first := new_secret())
    uptime = 3600.0
    await sessions.carry(old, second := new_secret())
    await sessions.carry(old, third := new_secret())  # it has ended already

    found = [await sessions.find(place_of(each), [each]) for each in (first, second, third)]
    assert [each and each.ends_at for each in found] == [None, LASTS_SECONDS, None]


async def test_who_is_signed_in_already_or_no_more_is_told_so(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    assert "You are signed in to that already." in await room.sign_in(person, "prints")
    (form,) = person.forms("signout")
    url = str(person.last.url.join(form.action))
    await person.press("signout")
    assert "Sign in" in await person.post(url, form.fields)
    assert person.last.status_code == 200


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


async def test_a_code_opens_anew_what_was_open_already(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    before = await inside(person, "prints")
    code = {"code": room.code()}
    shown = await person.post(f"{person.home}/signin", code, origin="null")

    assert "Sign in to another store" not in shown
    assert (await person.http.get(before)).status_code == 401


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
    first = await inside(person, "prints")
    async with opened(room.settings("photos")) as services:
        (await services.store()).pin.set(PIN, OTHER_PIN)
    await person.go("/")
    await room.sign_in(person, "all")
    pages = [first, await inside(person, "prints"), await inside(person, "photos")]
    await person.go("/")
    said = await person.press("signout")

    assert "Sign in" in said
    assert "Ada's Prints" not in await person.go("/")
    assert person.last.status_code == 401
    for page in pages:
        assert (await person.http.get(page)).status_code == 401


async def inside(visitor: Visitor, store: str) -> str:
    """The address of a view of a store, reached from the page of all."""
    await visitor.go("/")
    link = next(each for each in links(visitor) if each.endswith(f"/go/{store}/today"))
    answer = await visitor.http.get(str(visitor.last.url.join(link)))
    assert (answer.status_code, answer.url.path.split("/s/")[0]) == (200, f"/{store}")
    return str(answer.url)


async def test_who_signs_out_of_a_store_is_signed_out_of_it_here(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    await room.sign_in(person, "photos", OTHER_PIN)
    home = person.home
    link = next(each for each in links(person) if each.endswith("/go/prints/today"))
    person.last = await person.http.get(str(person.last.url.join(link)))
    assert person.last.url.path.startswith("/prints/s/")
    await person.press("signout")
    person.home = home

    shown = await person.go("/")
    assert "You are signed in to 1 of 2 stores." in shown
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


async def test_a_cookie_that_somebody_else_planted_gives_away_no_store(room: AllRoom) -> None:
    """Any server of this machine can plant one, with a session of its owner, and a link to its path."""
    attacker, victim = room.visitor(), room.visitor()
    await room.sign_in(attacker, "photos", OTHER_PIN)
    (own,) = attacker.http.cookies.jar
    victim.http.cookies.set("clawver_board", str(own.value), domain="127.0.0.1", path=own.path)
    victim.home = attacker.home
    assert "Pixel" in await victim.go("/")
    shown = await room.sign_in(victim, "prints")

    assert "Ada's Prints" in shown
    assert victim.home != attacker.home
    assert own.path not in {each.path for each in victim.http.cookies.jar}
    seen = await attacker.go("/")
    assert "Ada's Prints" not in seen
    for alias in room.stores:
        secret = secret_for(str(own.value), alias)
        url = f"{room.root}/{alias}/s/{place_of(secret)}/"
        answer = await person_with(url, f"clawver_board={secret}")
        assert (alias, answer.status_code) == (alias, 401)


async def test_a_cookie_goes_to_its_path_alone_and_no_script_reads_it(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    await room.sign_in(person, "photos", OTHER_PIN)
    await inside(person, "prints")
    cookies = [*person.http.cookies.jar]

    assert sorted(each.path.split("/s/")[0] for each in cookies) == ["/all", "/prints"]
    assert all(len(each.path.split("/s/")[1]) >= 16 for each in cookies)
    assert all(each.has_nonstandard_attr("HttpOnly") for each in cookies)
    assert len({each.value for each in cookies}) == 2


async def test_what_is_forged_shows_nothing(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    place = person.home.rsplit("/", 1)[1]
    await inside(person, "prints")
    values = {each.path.split("/")[1]: str(each.value) for each in person.http.cookies.jar}
    for name, value in (
        ("clawver_board", f"{values['all'][:-1]}"),
        ("clawver_board", values["prints"]),  # the secret of a store is none of this page
        ("clawver_board", place),
        ("clawver_board", ""),
        ("clawver_board-prints", values["all"]),
        ("other", values["all"]),
    ):
        answer = await forged(room, place, f"{name}={value}")
        assert (name, answer.status_code) == (name, 401)
        assert "Ada's Prints" not in answer.text
    again = await forged(room, place, f"clawver_board=x; clawver_board={values['all']}")
    elsewhere = await forged(room, "x" * 22, f"clawver_board={values['all']}")
    assert (again.status_code, elsewhere.status_code) == (200, 401)


async def test_what_a_stranger_sends_is_answered_and_costs_little(
    room: AllRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = dict.fromkeys(("find", "redeem"), 0)
    find, redeem = OwnSessions.find, codes.redeem

    async def counted(self: OwnSessions, place: str, cookies: Sequence[str]) -> Session | None:
        looks["find"] += 1
        return await find(self, place, cookies)

    def counted_too(*given: Any) -> bool:
        looks["redeem"] += 1
        return redeem(*given)

    monkeypatch.setattr(OwnSessions, "find", counted)
    monkeypatch.setattr(codes, "redeem", counted_too)
    file = codes.hand_over(room.up.folder, room.up.address, "x")
    secret = new_secret()
    many = ";".join([f"clawver_board={secret}"] * 1000)
    assert (await forged(room, place_of(secret), many)).status_code == 401
    person = room.visitor()
    code = {"code": " ".join(["prints:x", "photos:x", "nowhere:x"] * 400)}
    await person.post(f"{room.up.address}/signin", code, origin="null")

    assert looks == {"find": 2, "redeem": 2}
    assert file.exists()
    for path in ("x", "%e2%82%ac", "x%0d%0aSet-Cookie:%20a=b", "x;%20Domain=evil", "%22%3E%3Cb%3E"):
        url = f"{room.up.address}/s/{path}/signin"
        said = await person.post(url, {"store": "prints", "pin": OTHER_PIN})
        assert "the PIN is" in said or person.last.status_code == 404
        assert "set-cookie" not in person.last.headers
        assert "<b>" not in person.last.text.partition("<main")[0]


async def test_a_line_leads_nowhere_but_into_its_store(room: AllRoom) -> None:
    person = room.visitor()
    await room.sign_in(person, "prints")
    for path in (
        "nowhere/",
        "prints//evil.example",
        "prints/https:/evil.example",
        "prints/s/x/",
        "all/",
    ):
        await person.go(f"/go/{path}")
        assert person.last.status_code == 404
    shown = await person.go("/go/photos/refund/rfi_1")
    assert person.last.url.path == "/photos/refund/rfi_1"
    assert "Then you'll see what you were asked about" in shown


async def forged(room: AllRoom, place: str, cookie: str) -> httpx2.Response:
    return await person_with(f"{room.up.address}/s/{place}/", cookie)


async def person_with(url: str, cookie: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.get(url, headers={"Cookie": cookie})


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
    root = room.root
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
    headings = [each.split("/") for each in links(person) if each.endswith("/today")]

    assert [each[-2] for each in headings] == ["photos", "prints"]


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
    said = Forms(alone.last.text).text
    assert "Nothing that is known waits for you in the stores below" in said


async def test_what_clawver_does_not_answer_is_said_for_its_store(
    room: AllRoom, at: Address
) -> None:
    at.first.add_fault("status_before", times=1000, status=503)
    person = room.visitor()
    shown = await room.sign_in(person, "prints")

    assert "Clawver couldn't be asked at" in shown
    assert "Orders that aren't known here are missing." in shown


async def test_a_store_that_hangs_holds_up_nothing(
    room: AllRoom, at: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wanted(room.settings("prints"))
    at.first.add_fault("hang_before", times=1000, seconds=600.0)
    monkeypatch.setattr(today, "SOON_SECONDS", 0.0)
    person = room.visitor()
    shown = await room.sign_in(person, "prints")
    again = await person.go("/")

    assert "1 refund waits for you" in shown
    assert (
        "Clawver is being asked for its orders. Reload the page to see which need a look." in again
    )


async def test_a_store_that_does_not_say_who_it_is_is_asked_once_a_minute(
    at: Address, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = stores_of(both(at, lambda **more: write(TEXT, **more)))
    at.first.add_fault("status_before", times=1000, status=503)
    monkeypatch.setattr(all_stores, "MADE_WITHIN_SECONDS", 0.0)
    async with running_all(stores, 0) as up:
        late = await up.pages()
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            root = up.address.removesuffix("/all")
            first = await http.get(f"{root}/prints/")
            asked = len(at.asked)
            again = [await http.get(f"{root}/prints/") for _ in range(3)]
            cookie = {"Cookie": f"clawver_board={(secret := new_secret())}"}
            stranger = await http.get(f"{up.address}/s/{place_of(secret)}/", headers=cookie)

    assert late["prints"] is None
    assert {each.status_code for each in (first, *again)} == {503}
    assert stranger.status_code == 401
    assert len(at.asked) == asked


async def test_links_of_agents_lead_to_the_page_of_the_store(room: AllRoom) -> None:
    root = room.root
    for alias in room.stores:
        scope = scopes.known(room.settings(alias))
        assert scope is not None
        assert address_of(scope.folder) == f"{root}/{alias}"
        async with opened(room.settings(alias)) as services, running(services) as page:
            assert (page.address, page.is_ours) == (f"{root}/{alias}", False)
    async with running_all(room.stores) as again:
        assert (again.address, again.is_ours) == (room.up.address, False)
        assert await again.pages() == {each: f"{root}/{each}" for each in room.stores}
    problem = SetupError("NOWHERE does not hold the key.", next_step="Put it there.")
    async with running_all({**room.stores, "later": problem}, 0) as other:
        assert other.is_ours
        assert await other.pages() == {
            "prints": other.address.replace("/all", "/prints"),
            "photos": other.address.replace("/all", "/photos"),
            "later": problem,
        }


async def test_a_store_whose_page_is_up_in_another_process_is_shown_too(
    at: Address, write: Write
) -> None:
    stores = await prepared(stores_of(both(at, lambda **more: write(TEXT, **more))))
    photos = stores["photos"]
    assert isinstance(photos, Settings)
    refund_id = await wanted(photos, 700)
    async with opened(photos) as services, running(services, 0) as page:
        folder = (await services.store()).scope.folder
        async with running_all(stores, 0) as up:
            await up.pages()
            assert address_of(folder) == page.address
            room = AllRoom(up, stores)
            person = room.visitor()
            shown = await room.sign_in(person, "photos", OTHER_PIN)
            await person.go(f"/go/photos/refund/{refund_id}")
            done = await person.press("approve")
            await person.http.aclose()
        assert await is_up(page.address)
    assert "1 refund waits for you" in shown
    assert "Refunded $7.00" in done
    assert at.second.refunds() == [("ord_shirt", 700)]


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
        coded = await person.post(f"{up.address}/signin", {"code": "lost:x"}, origin="null")
        await person.http.aclose()
        assert isinstance((await up.pages())["lost"], SetupError)
    assert "That code was used already" in coded
    assert "You are signed in to 1 of 3 stores." in shown


async def test_two_names_of_one_store_open_nothing(at: Address, write: Write) -> None:
    text = f'{TEXT}[stores.again]\nkey_env = "PRINTS_KEY"\n'
    variables = both(at, lambda **more: write(text, **more))
    stores = await prepared(stores_of(variables))
    stores = {**stores, "again": Settings.from_environment(variables, store="again")}
    async with running_all(stores, 0) as up:
        assert "are one store, so its limits would not hold." in str((await up.pages())["again"])
        person = Visitor(up.address)
        said = await person.post(f"{up.address}/signin", {"code": "again:x"}, origin="null")
        await person.http.aclose()
    assert "That code was used already" in said


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
