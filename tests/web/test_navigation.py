"""The navigation that all views share, and the sign-in that comes before each."""

import re

import pytest
from tests.web.conftest import Opens
from tests.web.visitor import Room, Visitor

from clawver_orders.web.navigation import NAVIGATION
from clawver_sandbox.shop import API_KEY

PATHS = [path for path, _ in NAVIGATION]


def links(page: str) -> list[tuple[str, str, bool]]:
    """The links of the navigation: where each leads, what it says, and whether it is the current view."""
    (nav,) = re.findall(r'<nav class="wrap nav".*?</nav>', page, re.DOTALL)
    found = re.findall(r'<a href="([^"]*)"( aria-current="page")?>([^<]*)</a>', nav)
    return [(href, label, bool(current)) for href, current, label in found]


@pytest.mark.parametrize("path", PATHS)
async def test_the_navigation_leads_to_each_view_and_says_which_one_it_is(
    room: Room, merchant: Visitor, path: str
) -> None:
    await merchant.go(f"/{path}")
    home = merchant.home.removeprefix(room.address)

    assert merchant.last.status_code == 200
    assert links(merchant.last.text) == [
        (f"{home}/{each}", label, each == path) for each, label in NAVIGATION
    ]


async def test_what_is_no_view_of_the_navigation_is_not_called_current(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await merchant.go(f"/refund/{wish.refund_id}")

    assert [current for *_, current in links(merchant.last.text)] == [False] * len(NAVIGATION)


@pytest.mark.parametrize("path", PATHS)
async def test_no_view_is_shown_without_a_session_and_the_sign_in_leads_there(
    room: Room, stranger: Visitor, path: str
) -> None:
    for asked in (f"/{path}", f"/s/nobody/{path}"):
        await stranger.go(asked)
        (form,) = stranger.forms("signin")
        assert form.fields["next"] == path
        assert "Sign out" not in stranger.last.text
    assert stranger.last.status_code == 401
    await stranger.sign_in(onward=path)

    assert stranger.last.status_code == 200
    assert str(stranger.last.url).endswith(f"/{path}")


async def test_a_path_that_is_no_view_is_forgotten_by_the_sign_in(stranger: Visitor) -> None:
    await stranger.go("/todayx")

    assert stranger.forms("signin")[0].fields["next"] == ""


@pytest.mark.parametrize("path", PATHS)
async def test_every_view_says_that_no_real_money_moves_where_none_does(
    opens: Opens, path: str
) -> None:
    async with opens(api_key=API_KEY) as room:
        visitor = Visitor(room.address)
        await visitor.sign_in()
        said = await visitor.go(f"/{path}")
        await visitor.http.aclose()

    assert "Practice This is a test key: no real money moves." in said


async def test_times_are_told_in_the_zone_of_the_settings(opens: Opens) -> None:
    async with opens(time_zone="Asia/Tokyo") as room:
        wish = await room.wanted()
        visitor = Visitor(room.address)
        await visitor.sign_in()
        said = await visitor.go(f"/refund/{wish.refund_id}")
        await visitor.http.aclose()

    assert "Times are in Asia/Tokyo." in said
    assert " JST " in said
    assert " UTC" not in said
