"""The rule for one customer: what counts, what is told where the order history can't tell, and by whom."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.refunds.book import IN_A_FILE
from tests.refunds.room import START, AskingHost, Room, Terminal, wish_of

from clawver_orders.caller import Grade, Reply
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import ClawverError, RefusedError
from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import HISTORY_FILE, Mirror
from clawver_orders.refunds import customers
from clawver_orders.refunds.customers import refunds_of_customer
from clawver_orders.refunds.outcome import message
from clawver_orders.refunds.policy import CustomerRefunds, policy_of

DAY = 86_400.0
EMAIL = "zoe@example.com"
ORDER = Order(id="ord_1", total_in_cents=2499, payment_status="paid", customer_email=EMAIL)
KNOWS = "That is as far as the order history knows: it has"


class WithPin(Terminal):
    """A person who types the PIN."""

    grade: Grade = "pin"


@pytest.fixture
def rule(tmp_path: Path) -> Any:
    """Writes a policy with the rule for one customer, in 90 days."""

    def write(count: int, more: str = "") -> dict[str, Any]:
        path = tmp_path / "refund-policy.toml"
        text = f"[refund]\nmax_refunds_per_customer = {{count = {count}, days = 90}}\n{more}"
        path.write_text(text, "utf-8")
        return {"refund_policy": path, "refund_approval": "off"}

    return write


def history_of(room: Room) -> Mirror:
    return Mirror(room.ledger.folder / HISTORY_FILE, timedelta(days=400))


def bought(
    room: Room, order_id: str, *refunds: tuple[str, float | None], email: str | None = EMAIL
) -> None:
    """Keep an order in the history, with refunds of so many days ago."""
    listed = [
        {"id": each, "amountInCents": 100}
        | ({} if days is None else {"createdAt": (room.at - timedelta(days=days)).isoformat()})
        for each, days in refunds
    ]
    body = {
        "id": order_id, "status": "delivered", "paymentStatus": "paid", "totalInCents": 2499,
        "createdAt": START.isoformat(), "customerEmail": email, "items": [], "refunds": listed,
    }  # fmt: skip
    seen = Sighting(order_id, kept(body), "read", room.at.timestamp())
    history_of(room).note([seen], room.at)


def counted(room: Room, order: Order = ORDER, days: int = 90, **changed: Any) -> CustomerRefunds:
    settings = room.parts.settings.model_copy(update=changed)
    return refunds_of_customer(settings, room.ledger, order, days)


def emailed(room: Room) -> str:
    """The address of the customer of all orders that the shop sells."""
    return str(room.shop.order(room.order_id)["customerEmail"])


# What counts


async def test_what_clawver_lists_on_the_orders_of_the_customer_counts_in_the_days(
    room: Room,
) -> None:
    bought(room, "ord_2", ("re_1", 89.9), ("re_2", 90.1), ("re_3", None))
    bought(room, "ord_3", ("re_1", 1), email="Zoe@Example.com")  # an id of that order
    bought(room, "ord_4", ("re_5", 1), email="zoë@example.com")
    bought(room, "ord_5", ("re_6", 1), email=None)

    assert counted(room) == CustomerRefunds(count=3, since=START)
    assert counted(room, days=91).count == 4


async def test_the_order_itself_counts_as_it_was_read_and_not_as_it_is_kept(room: Room) -> None:
    bought(room, "ord_1", ("re_1", 1), ("re_2", 1))
    order = ORDER.model_copy(update={"refunds": (Refund(id="re_3", amount_in_cents=100),)})

    assert counted(room).count == 0
    assert counted(room, order).count == 1


async def test_what_was_sent_from_here_counts_once_whether_it_is_kept_or_not(room: Room) -> None:
    wish = wish_of(await room.refund(700))
    other = ORDER.model_copy(update={"customer_email": emailed(room)})
    await room.parts.keep_what_was_read()
    bought(room, room.order_id, email=emailed(room))
    before = counted(room, other).count
    bought(room, room.order_id, (str(wish.clawver_refund_id), 0), email=emailed(room))
    room.passes(89 * DAY)
    late = counted(room, other).count
    room.passes(DAY)

    assert (before, late, counted(room, other).count) == (1, 1, 0)


async def test_what_may_have_arrived_counts_and_what_cannot_have_does_not(room: Room) -> None:
    order = ORDER.model_copy(update={"id": room.order_id})
    wish = await room.lost(100)
    in_flight = counted(room, order).count
    room.lands(100)
    await room.desk().check(wish.refund_id)
    landed = counted(room, order).count
    refused = await room.refused(200)
    may_take_effect = counted(room, order).count
    room.passes(room.verify_seconds + 1)
    with pytest.raises(RefusedError):
        await room.desk().check(refused.refund_id)
    await room.waiting(300)

    assert (in_flight, landed, may_take_effect, counted(room, order).count) == (1, 1, 2, 1)


# What can't be told


async def test_what_cannot_be_counted_is_outside_the_rule(
    room: Room, rule: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(rule(3)["refund_policy"].read_bytes())
    bought(room, "ord_2")
    bought(room, "ord_3")

    def told(order: Order = ORDER, **changed: Any) -> str:
        known = counted(room, order, **changed)
        verdict = policy.judge(order, 700, START, known)
        assert (verdict.rules, verdict.needs) == (("max_refunds_per_customer",), "pin")
        return verdict.why[0]

    start = "it can't be told how often this customer was refunded (max_refunds_per_customer is 3 in 90 days): "
    unnamed = ORDER.model_copy(update={"customer_email": None})
    assert told(unnamed) == f"{start}Clawver doesn't say whose order it is."
    assert told(history=False) == (
        f"{start}CLAWVER_HISTORY is off. The merchant can remove that setting, or the rule."
    )
    assert policy.judge(ORDER, 700, START).why == (f"{start}nobody counted it.",)

    monkeypatch.setattr(customers, "MOST_ORDERS", 1)
    assert told() == f"{start}this customer has more than 1 orders, too many to count."
    monkeypatch.setattr(customers, "MOST_ORDERS", 2)
    assert counted(room).unknown == ""

    history_of(room).forget(EMAIL, room.at)
    assert "deleted from the order history (clawver-orders forget)" in told()
    someone = ORDER.model_copy(update={"customer_email": "ada@example.com"})
    assert counted(room, someone).unknown == ""


@pytest.mark.parametrize("how", ["file", "row"])
async def test_a_history_that_cannot_be_read_is_told(room: Room, how: str) -> None:
    bought(room, "ord_2")
    path = room.ledger.folder / HISTORY_FILE
    if how == "file":
        path.write_bytes(b"no database" * 1000)
    else:
        with sqlite3.connect(path) as db:
            db.execute("UPDATE known SET whole = x'ff'")
        db.close()

    assert counted(room).unknown == (
        "the order history cannot be read. "
        "The merchant can run clawver-orders doctor, which says why."
    )


async def test_how_far_the_history_reaches_is_told(room: Room) -> None:
    empty = counted(room)
    bought(room, "ord_2")
    thin = kept({"id": "ord_3", "status": "paid", "totalInCents": 1, "createdAt": "2026-11-20"})
    history_of(room).note([Sighting("ord_3", thin, "list", room.at.timestamp())], room.at)

    assert empty.as_far_as == f"{KNOWS} no orders yet."
    assert CustomerRefunds(since=START).as_far_as == f"{KNOWS} orders since 2026-11-24."
    assert counted(room).as_far_as == (
        f"{KNOWS} orders since 2026-11-24, 1 of them without details."
    )


# Refunds under it


async def test_one_refund_more_than_the_rule_allows_needs_the_approval_that_it_names(
    room: Room, rule: Any
) -> None:
    policy = rule(2)
    bought(room, "ord_2", ("re_1", 1), email=emailed(room))

    first = await room.refund(700, **policy)
    second = await room.refund(300, **policy)
    agent = await room.refund(300, caller=AskingHost(Reply.YES), **policy)
    person = WithPin(Reply.YES)
    approved = await room.desk(**policy).approve(wish_of(second).refund_id, person)

    assert (first.status, second.status, second.needs) == ("refunded", "needs_approval", "pin")
    assert agent.status == "needs_approval"
    assert second.policy == (
        "It is outside the store's refund policy: with it this customer would have 3 refunds in 90 days "
        "(max_refunds_per_customer is 2 in 90 days).",
        f"{KNOWS} orders since 2026-11-24.",
    )
    assert message(second).endswith(" ".join(second.policy))
    assert (approved.status, room.given_back()) == ("refunded", [700, 300])
    assert set(second.policy) <= set(person.questions[0].text.splitlines())


async def test_within_the_rule_the_number_is_told_and_nothing_more_is_needed(
    room: Room, rule: Any
) -> None:
    bought(room, "ord_2", email=emailed(room))

    shown = await room.refund(**rule(1) | {"refund_approval": "agent"})

    assert (shown.status, shown.needs) == ("needs_approval", "agent")
    assert shown.policy == (
        "With it this customer would have 1 refund in 90 days (max_refunds_per_customer is 1 in 90 days).",
        f"{KNOWS} orders since 2026-11-24.",
    )


async def test_the_rule_can_forbid(room: Room, rule: Any) -> None:
    bought(room, "ord_2", ("re_1", 1), email=emailed(room))

    with pytest.raises(RefusedError) as raised:
        await room.refund(**rule(1, 'outside = "never"'))

    assert raised.value.happened == (
        "No money was moved: The store's refund policy forbids this refund: with it this customer would "
        "have 2 refunds in 90 days (max_refunds_per_customer is 1 in 90 days). "
        f"{KNOWS} orders since 2026-11-24."
    )
    assert room.posts() == 0


async def test_a_history_that_is_off_puts_refunds_outside_and_stops_nothing_else(
    room: Room, rule: Any
) -> None:
    policy = rule(9) | {"history": False}

    shown = await room.refund(**policy)
    approved = await room.desk(**policy).approve(wish_of(shown).refund_id, WithPin(Reply.YES))

    assert (shown.status, shown.needs) == ("needs_approval", "pin")
    assert "CLAWVER_HISTORY is off. The merchant can remove that setting" in shown.policy[0]
    assert approved.status == "refunded"


async def test_one_more_refund_of_the_customer_is_shown_before_anything_is_sent(
    room: Room, rule: Any
) -> None:
    policy = rule(1)
    bought(room, "ord_2", ("re_1", 1), email=emailed(room))
    first = wish_of(await room.refund(**policy))
    same = wish_of(await room.refund(**policy))
    bought(room, "ord_3", ("re_2", 1), email=emailed(room))
    second = wish_of(await room.refund(**policy))
    rule(5)
    third = wish_of(await room.refund(**policy | {"refund_approval": "pin"}))

    revisions = [each.revision for each in (first, same, second, third)]
    assert revisions == [1, 1, 2, 3]


@IN_A_FILE
async def test_a_ledger_that_cannot_be_read_is_an_error_and_no_number(room: Room) -> None:
    await room.refund()
    (room.ledger.folder / "ledger.sqlite3").write_bytes(b"no database" * 1000)

    with pytest.raises(ClawverError):
        counted(room)
