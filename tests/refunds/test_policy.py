"""The merchant's rules for refunds: what they say, and that nothing gets around them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.refunds.room import AskingHost, Room, Terminal, wish_of

from clawver_orders.caller import Grade, Reply, Script
from clawver_orders.clawver.models import Item, Order, Refund
from clawver_orders.errors import NO_MONEY_MOVED, RefusedError, SetupError
from clawver_orders.refunds.outcome import message
from clawver_orders.refunds.policy import CustomerLimit, policy_of
from clawver_orders.refunds.policy_file import read_policy

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAID = Order(id="ord_1", total_in_cents=2499, payment_status="paid", paid_at=NOW)
DAY = 86_400.0


class WithPin(Terminal):
    """A person who types the PIN."""

    grade: Grade = "pin"


def of(*products: str | None, days: float = 0, **more: Any) -> Order:
    """An order of these products, paid so many days ago."""
    items = tuple(Item(product_id=each) for each in products)
    paid_at = PAID.paid_at and PAID.paid_at - timedelta(days=days)
    return PAID.model_copy(update={"items": items, "paid_at": paid_at} | more)


@pytest.fixture
def rules(tmp_path: Path) -> Any:
    """Writes the file of a policy."""
    path = tmp_path / "refund-policy.toml"

    def write(text: str) -> Path:
        path.write_text(f"[refund]\n{text}", "utf-8")
        return path

    return write


def judged(path: Path, order: Order, cents: int = 700) -> tuple[str, ...]:
    return read_policy(path).judge(order, cents, NOW).rules


# The rules


@pytest.mark.parametrize(
    ("text", "order", "broken"),
    [
        ("", of("prod_a", days=9999), ()),
        ("", of("prod_a", paid_at=None), ()),
        ("window_days = 30", of("prod_a", days=30), ()),
        ("window_days = 30", of("prod_a", days=30.001), ("window_days",)),
        ("window_days = 0", of("prod_a"), ()),
        ("window_days = 30", of("prod_a", paid_at=None), ("window_days",)),
        ("window_days = 30", of(days=31), ("window_days",)),
        ('final_sale = ["prod_a"]', of("prod_b", "prod_a"), ("final_sale",)),
        ('final_sale = ["prod_a"]', of("prod_b"), ()),
        ('final_sale = ["prod_a"]', of("prod_b", None), ("items",)),
        ('final_sale = ["prod_a"]', of("prod_b", unread_items=1), ("items",)),
        ('final_sale = ["prod_a"]', of(), ("items",)),
        ('final_sale = ["prod_a"]', of(items=None), ("items",)),
        ("max_cents_per_order = 700", of("prod_a"), ()),
        ("max_cents_per_order = 699", of("prod_a"), ("max_cents_per_order",)),
        (
            "max_cents_per_order = 700",
            of("prod_a", refunds=(Refund(id="re_1", amount_in_cents=1),)),
            ("max_cents_per_order",),
        ),
    ],
)
def test_a_rule_is_broken_or_not(rules: Any, text: str, order: Order, broken: Any) -> None:
    assert judged(rules(text), order) == broken


BOTH = 'window_days = 30\n[[refund.product]]\nid = "prod_a"\nwindow_days = 14\n'


@pytest.mark.parametrize(
    ("order", "broken"),
    [
        (of("prod_a", days=14), ()),
        (of("prod_a", days=15), ("window_days of prod_a",)),
        (of("prod_b", days=15), ()),
        (of("prod_b", days=31), ("window_days",)),
        (of("prod_b", "prod_a", days=31), ("window_days of prod_a", "window_days")),
        (of("prod_a", "prod_a", paid_at=None), ("window_days",)),
        (of(None, days=31), ("items", "window_days")),
    ],
)
def test_a_product_has_its_own_window_in_the_place_of_the_one_for_all(
    rules: Any, order: Order, broken: Any
) -> None:
    assert judged(rules(BOTH), order) == broken


def test_a_window_of_a_product_may_be_the_longer_one(rules: Any) -> None:
    path = rules('window_days = 1\n[[refund.product]]\nid = "prod_a"\nwindow_days = 90\n')

    assert judged(path, of("prod_a", days=60)) == ()


def test_a_verdict_says_why(rules: Any) -> None:
    path = rules(f'final_sale = ["prod_b"]\nmax_cents_per_order = 500\n{BOTH}')

    verdict = read_policy(path).judge(of("prod_a", "prod_b", days=40), 700, NOW)

    assert verdict.needs == "pin"
    assert verdict.shown == tuple(
        f"It is outside the store's refund policy: {why}"
        for why in (
            "it could be refunded until 2026-10-29 12:00 UTC (window_days of prod_a is 14).",
            "it could be refunded until 2026-11-14 12:00 UTC (window_days is 30).",
            "prod_b is on final sale.",
            "with it $7.00 would go back on the order, and $5.00 is the most.",
        )
    )
    assert read_policy(path).judge(of("prod_c"), 1, NOW).shown == (
        "It is within the store's refund policy.",
    )


def test_the_digest_is_that_of_the_rules_and_not_of_the_text(rules: Any) -> None:
    first = read_policy(rules("window_days = 30"))
    second = read_policy(rules("# as agreed\nwindow_days=30\r\n"))
    third = read_policy(rules("window_days = 31"))

    assert first.digest == second.digest != third.digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[refund]\nwindow_dayz = 3", ", line 2: window_dayz is no rule."),
        ("colour = 1\n[refund]", ", line 1: colour is no rule."),
        ("[refund]\n\n[refund.colour]\na = 1", ", line 3: colour is no rule."),
        ('[refund]\n"we ird\\n" = 3', ", line 1: a key in it is no rule."),
        ("refund = {window_days = 3, b = 4}", ", line 1: b is no rule."),
        ("[refund]\n'window_days' = true", ", line 2: window_days must be a whole number, not text and not a fraction."),
        ("[refund]\nwindow_days = -1", ", line 2: window_days must be 0 or more."),
        ("[refund]\nwindow_days = 30.0", ", line 2: window_days must be a whole number, not text and not a fraction."),
        ("[refund]\nfinal_sale = 'prod_a'", ", line 2: final_sale must be a list."),
        ("[refund]\nfinal_sale = ['prod a']", ", line 2: final_sale must match pattern '^[A-Za-z0-9_-]{1,64}$'."),
        ("[refund]\n\nfinal_sale = ['a', 'b', 'prod a']", ", line 3: final_sale must match pattern '^[A-Za-z0-9_-]{1,64}$'."),
        ("[refund]\noutside = 'agent'", ", line 2: outside must be 'chat', 'console', 'pin' or 'never'."),
        ("[[refund.product]]\nid = 'a'\nwindow_days = 1\n[[refund.product]]\nid = 'b'", ", line 4: window_days is required."),
        ("[refund]\n[[refund.product]]\nid = 'a'\n[[refund.product]]\nid = 'b'\nwindow_days = 1\n", ", line 2: window_days is required."),
        ("[[refund.product]]\nid = 'a'\nwindow_days = 1\n[[refund.product]]\nid = 'b'\nwindow_days = 'x'", ", line 6: window_days must be a whole number, not text and not a fraction."),
        ("[refund]\n[[refund.product]]\nid = 'a'\nwindow_days = 1\n[[refund.product]]\nid = 'a'\nwindow_days = 2", ": a stands twice among the products."),
        ("[refund]\nmax_refunds_per_customer = {count = 0, days = 90}", ", line 2: count must be 1 or more."),
        ("[refund]\nmax_refunds_per_customer = {count = 3, days = 0}", ", line 2: days must be 1 or more."),
        ("[refund]\nmax_refunds_per_customer = {count = -1, days = 90}", ", line 2: count must be 1 or more."),
        ("[refund]\nmax_refunds_per_customer = {count = 3, days = 3651}", ", line 2: days must be 3650 or less."),
        ("[refund]\nmax_refunds_per_customer = {count = '3', days = 90}", ", line 2: count must be a whole number, not text and not a fraction."),
        ("[refund]\nmax_refunds_per_customer = {count = true, days = 90}", ", line 2: count must be a whole number, not text and not a fraction."),
        ("[refund]\nmax_refunds_per_customer = {count = 3}", ", line 2: days is required."),
        ("[refund]\nmax_refunds_per_customer = {count = 3, days = 90, weeks = 1}", ", line 2: weeks is no rule."),
        ("[refund]\nmax_refunds_per_customer = 3", ", line 2: max_refunds_per_customer must be a table."),
        ("[refund]\n[refund.max_refunds_per_customer]\ncount = 3\ndays = 'x'", ", line 4: days must be a whole number, not text and not a fraction."),
        ("[refund]\nmax_refunds_per_customer.count = 3\nmax_refunds_per_customer.days = 0", ", line 3: days must be 1 or more."),
        ("", ": refund is required."),
        ("[refund]\nwindow_days = ", ", line 2: it is no TOML."),
        ("[refund]\nwindow_days = 1\nwindow_days = 2", ", line 3: it is no TOML."),
        ("[refund]\nx = [", ", line 2: it is no TOML."),
        (f"a = {'[' * 5000}", ": it is nested too deeply."),
        ("#" * (256 * 1024 + 1), ": it is larger than 256 KiB."),
        ("#" * (256 * 1024), ": refund is required."),
    ],
)  # fmt: skip
def test_a_file_with_a_fault_names_the_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, "utf-8")

    with pytest.raises(SetupError) as raised:
        read_policy(path)

    assert (
        raised.value.happened
        == f"{NO_MONEY_MOVED}: The file in CLAWVER_REFUND_POLICY cannot be used{says}"
    )


def test_a_file_that_is_no_text_or_not_there_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"

    with pytest.raises(SetupError, match="cannot be read \\(FileNotFoundError\\)"):
        read_policy(path)

    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match="no text in UTF-8"):
        read_policy(path)


def test_a_file_as_an_editor_on_windows_saves_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(b"\xef\xbb\xbf[refund]\r\nwindow_days = 3\r\n")

    assert read_policy(path).rules.window_days == 3


# Refunds under them


@pytest.mark.parametrize("floor", ["off", "agent", "chat", "console", "pin"])
async def test_outside_the_rules_only_the_approval_that_they_name_counts(
    room: Room, rules: Any, floor: str
) -> None:
    policy: dict[str, Any] = {
        "refund_policy": rules("window_days = 30"),
        "refund_approval": floor,
    }
    room.passes(31 * DAY)

    shown = await room.refund(**policy)
    wish = wish_of(shown)
    confirmed = await room.desk(**policy).confirm(wish.refund_id, wish.revision, Script())
    in_chat = await room.refund(caller=AskingHost(Reply.YES), **policy)
    weak = await room.desk(**policy).approve(wish.refund_id, Terminal(Reply.YES))

    assert (shown.status, shown.needs, room.given_back()) == ("needs_approval", "pin", [])
    assert shown.policy == (
        "It is outside the store's refund policy: it could be refunded until "
        "2026-12-24 12:00 UTC (window_days is 30).",
    )
    assert message(shown).endswith(shown.policy[0])
    assert {confirmed.status, in_chat.status, weak.status} == {"needs_approval"}
    assert room.posts() == 0

    person = WithPin(Reply.YES)
    approved = await room.desk(**policy).approve(wish.refund_id, person)
    assert (approved.status, room.given_back()) == ("refunded", [700])
    assert shown.policy[0] in person.questions[0].text.splitlines()
    assert wish_of(approved).decisions[-1].policy == read_policy(policy["refund_policy"]).digest


@pytest.mark.parametrize("outside", ["chat", "console", "pin"])
async def test_the_file_says_which_approval_counts_outside(
    room: Room, rules: Any, outside: str
) -> None:
    path = rules(f'max_cents_per_order = 0\noutside = "{outside}"')

    shown = await room.refund(refund_policy=path, refund_approval="agent")

    assert (shown.status, shown.needs) == ("needs_approval", outside)


async def test_the_file_makes_nothing_easier_than_the_setting(room: Room, rules: Any) -> None:
    path = rules('max_cents_per_order = 0\noutside = "chat"')

    shown = await room.refund(refund_policy=path, refund_approval="pin")

    assert shown.needs == "pin"


async def test_what_is_forbidden_nobody_approves(room: Room, rules: Any) -> None:
    policy: dict[str, Any] = {
        "refund_policy": rules('window_days = 30\noutside = "never"'),
        "refund_approval": "chat",
    }
    waiting = wish_of(await room.refund(**policy))
    room.passes(31 * DAY)

    for call in (
        lambda: room.refund(**policy),
        lambda: room.refund(caller=AskingHost(Reply.YES), **policy),
        lambda: room.desk(**policy).approve(waiting.refund_id, WithPin(Reply.YES)),
    ):
        with pytest.raises(RefusedError) as raised:
            await call()
        assert raised.value.happened == (
            "No money was moved: The store's refund policy forbids this refund: it could be refunded "
            "until 2026-12-24 12:00 UTC (window_days is 30)."
        )
    assert room.posts() == 0


async def test_within_the_rules_all_is_as_without_them(room: Room, rules: Any) -> None:
    path = rules("window_days = 30")

    shown = await room.refund(refund_policy=path, refund_approval="agent")
    sent = await room.refund(699, refund_policy=path, refund_approval="off")

    assert (shown.needs, message(shown)) == (
        "agent",
        f"No money was moved: $7.00 on {room.order_id} waits for approval.",
    )
    assert (sent.status, room.given_back()) == ("refunded", [699])
    assert wish_of(sent).decisions[-1].policy == read_policy(path).digest
    assert any(
        f"policy {read_policy(path).digest}" in each[2] for each in await room.trail(wish_of(sent))
    )


async def test_a_rule_that_changes_while_a_refund_waits_is_shown_before_anything_is_sent(
    room: Room, rules: Any
) -> None:
    policy: dict[str, Any] = {
        "refund_policy": rules("window_days = 30"),
        "refund_approval": "agent",
    }
    shown = wish_of(await room.refund(**policy))
    rules("window_days = 60")

    answer = await room.desk(**policy).confirm(shown.refund_id, shown.revision, Script())
    again = wish_of(answer)
    sent = await room.desk(**policy).confirm(again.refund_id, again.revision, Script())

    assert (answer.status, again.revision) == ("needs_approval", shown.revision + 1)
    assert (sent.status, room.given_back()) == ("refunded", [700])


async def test_a_window_that_ends_while_a_person_thinks_keeps_the_money(
    room: Room, rules: Any
) -> None:
    policy: dict[str, Any] = {
        "refund_policy": rules("window_days = 1"),
        "refund_approval": "chat",
    }
    room.passes(DAY)  # the sandbox's payments take some minutes
    host = AskingHost(Reply.YES, meanwhile=lambda _: room.passes(600))

    outcome = await room.refund(caller=host, **policy)

    assert (outcome.status, outcome.needs, room.given_back()) == ("needs_approval", "pin", [])
    assert len(host.questions) == 1


@pytest.mark.parametrize("text", ["window_dayz = 3", None])
async def test_a_file_that_cannot_be_used_stops_refunds_and_nothing_else(
    room: Room, rules: Any, text: str | None
) -> None:
    path: Path = rules(text) if text else rules("").with_name("gone.toml")
    first = wish_of(await room.refund(699))

    with pytest.raises(SetupError, match=r"^No money was moved: The file in CLAWVER_REFUND_POLICY"):
        await room.refund(refund_policy=path)

    assert room.given_back() == [699]
    known = await room.desk(refund_policy=path).check(first.refund_id)
    assert known.status == "refunded"


async def test_a_repeat_is_told_as_one_whatever_the_rules_say(room: Room, rules: Any) -> None:
    await room.refund()

    repeat = await room.refund(refund_policy=rules('max_cents_per_order = 0\noutside = "never"'))

    assert (repeat.status, room.given_back()) == ("already_refunded", [700])


# The page about it


def test_the_file_of_the_page_is_read_as_the_page_says() -> None:
    page = Path(__file__).parents[2] / "docs" / "refund-policy.md"
    (block,) = re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)

    rules = policy_of(block.encode()).rules

    assert (rules.window_days, rules.final_sale) == (30, ["prod_fonts"])
    assert (rules.max_cents_per_order, rules.outside) == (10_000, "pin")
    assert rules.max_refunds_per_customer == CustomerLimit(count=3, days=90)
    assert [(each.id, each.window_days) for each in rules.product] == [("prod_tee", 14)]
    assert policy_of(b"[refund]").rules.outside == "pin"
