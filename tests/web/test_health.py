"""Health: what the doctor says, as a page."""

import re
from pathlib import Path

import pytest
from tests.conftest import KEY
from tests.web.conftest import Opens
from tests.web.test_today import asked, heading, visit
from tests.web.visitor import HOOKS, PIN, Room, Visitor

from clawver_orders.reports.checks import examine

HEALTH = "/health"


def said(visitor: Visitor) -> list[tuple[str, str]]:
    """The subject of each check of the last page, and what is said of it."""
    return re.findall(
        r"</svg>(\w+)</span>\s*<strong>([\w ]+)</strong>", visitor.last.text, re.DOTALL
    )


async def test_it_says_what_the_doctor_says(room: Room, merchant: Visitor) -> None:
    page = await merchant.go(HEALTH)
    settings = room.services.settings
    findings = await examine(
        {
            "CLAW_API_KEY": KEY,
            "CLAWVER_API_URL": settings.api_url,
            "CLAWVER_STATE_DIR": str(settings.state_dir),
            "CLAWVER_REFUND_APPROVAL": "chat",
        },
        lambda: room.time.at,
    )

    assert heading(merchant) == "Everything is fine"
    assert said(merchant) == [("Fine", each.subject.capitalize()) for each in findings]
    for each in findings:
        assert each.says in page
    assert f"{len(findings)} checks at {room.time.at:%H:%M}" in page


async def test_what_is_wrong_comes_first_with_what_to_do(opens: Opens, tmp_path: Path) -> None:
    policy = tmp_path / "refund-policy.toml"
    policy.write_text("[refund]\nwindowdays = 30\n", "utf-8")
    async with opens(refund_policy=policy) as room:
        visitor = await visit(room)
        page = await visitor.go(HEALTH)
        assert heading(visitor) == "1 thing needs attention"
        assert said(visitor)[0] == ("Wrong", "Refund policy")
        assert "cannot be used, line 2" in page
        (room.store.scope.folder / "ledger.sqlite3").write_bytes(b"no database at all")
        await visitor.go(HEALTH)
        assert heading(visitor) == "2 things need attention"
        (room.store.scope.folder / "ledger.sqlite3").unlink()

        policy.write_text("[refund]\nwindow_days = 30\n", "utf-8")
        await visitor.go(HEALTH)
        assert heading(visitor) == "Everything is fine"
        await visitor.http.aclose()


async def test_what_may_be_meant_otherwise_is_a_note(
    room: Room, merchant: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAWVER_COLOUR", "green")
    await merchant.go(HEALTH)

    assert heading(merchant) == "Everything is fine"
    assert ("Note", "Names") in said(merchant)


async def test_the_store_is_asked_once_in_five_minutes_whoever_looks(
    room: Room, merchant: Visitor
) -> None:
    other = await visit(room)
    room.shop.forget_requests()
    for _ in range(3):
        await merchant.go(HEALTH)
        await other.go(HEALTH)
    assert set(asked(room).values()) == {1}
    assert len(room.shop.requests()) == 2
    room.passes(minutes=5)
    await merchant.go(HEALTH)
    await other.http.aclose()

    assert set(asked(room).values()) == {2}


async def test_a_store_that_does_not_answer_is_said(room: Room, merchant: Visitor) -> None:
    room.shop.add_fault("status_before", times=-1, status=401)
    await merchant.go(HEALTH)
    assert heading(merchant) == "1 thing needs attention"
    asked_before = len(room.shop.requests())
    await merchant.go(HEALTH)

    assert said(merchant)[0] == ("Wrong", "Store")
    assert merchant.last.status_code == 200
    assert len(room.shop.requests()) == asked_before


async def test_a_store_that_hangs_is_said(
    room: Room, merchant: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clawver_orders.web import store_answers

    monkeypatch.setattr(store_answers, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(store_answers, "ANSWER_SECONDS", 0.05)
    room.shop.add_fault("hang_before", times=-1, seconds=5)
    page = await merchant.go(HEALTH)

    assert said(merchant)[0] == ("Wrong", "Store")
    assert "Clawver did not answer in time. Nothing was changed. Try again in a minute." in page


async def test_it_tells_no_secret(opens: Opens) -> None:
    shared = "0123456789abcdef" * 3
    async with opens(http_token=shared) as room:
        visitor = await visit(room)
        await visitor.go(HEALTH)
        await visitor.http.aclose()

    for secret in (KEY, HOOKS["webhook_secret"], shared, PIN):
        assert secret not in visitor.last.text


async def test_it_leaves_no_open_files_behind(room: Room, merchant: Visitor) -> None:
    await merchant.go(HEALTH)
    store = await room.services.store()
    room.passes(minutes=6)
    await merchant.go(HEALTH)

    assert await room.services.store() is store is room.store


async def test_read_only_it_says_so(opens: Opens) -> None:
    async with opens(read_only=True) as room:
        visitor = await visit(room)
        page = await visitor.go(HEALTH)
        await visitor.http.aclose()

    assert "Off: a server is read-only" in page
