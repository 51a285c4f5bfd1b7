"""A digest in words."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from clawver_orders.reports.digest import (
    CameIn,
    Digest,
    Stuck,
    Waiting,
    WaitingChange,
    WentBack,
)
from clawver_orders.reports.telling import LINES, as_json, as_markdown, as_text

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUIET = Digest(
    store="Ada's shop", sandbox=False, option="", since=NOW - 24 * HOUR, now=NOW, time_zone="Europe/Berlin",
    came_in=CameIn(0, 0, {}, {}), stuck=[], went_back=[], waiting=[], unknown=[], waiting_changes=[],
    why_incomplete=None, is_live=True,
)  # fmt: skip
BUSY = replace(
    QUIET,
    sandbox=True,
    option=" --sandbox",
    came_in=CameIn(3, 2, {"USD": 2499, "EUR": 500}, {"2026-11-23": 1, "2026-11-24": 2}),
    stuck=[
        Stuck("ord_1", "Cancelled, but $24.99 is not refunded.", 2499, "USD", holds_money=True, as_of=None),
        Stuck("ord_2", "2 days old and still pending.", 500, "EUR", holds_money=False, as_of=NOW - 50 * HOUR),
    ],
    went_back=[
        WentBack("ord_3", 700, "USD", NOW - HOUR, "rfi_1", "person on the page", "pin", "page"),
        WentBack("ord_4", 900, "USD", NOW - 2 * HOUR),
    ],
    waiting=[Waiting("rfi_2", "ord_5", 600, NOW - 3 * HOUR)],
    unknown=[Waiting("rfi_3", "ord_6", 400, NOW - 4 * HOUR)],
    waiting_changes=[WaitingChange("whc_1", "register", NOW - 5 * HOUR, "clawver-orders webhook register https://x.example/ --sandbox")],
    why_incomplete="Orders kept here since 2026-11-01: 3.",
)  # fmt: skip


def test_a_quiet_day_takes_few_lines() -> None:
    assert as_text(QUIET).splitlines() == [
        "Store: Ada's shop",
        "From 2026-11-23T12:00Z to 2026-11-24T12:00Z. Days are those of Europe/Berlin.",
        "",
        "Waits for you: nothing.",
        "",
        "Stuck: nothing.",
        "",
        "Came in: nothing.",
        "",
        "Refunded: nothing.",
    ]


def test_a_busy_day_is_told_with_what_to_run() -> None:
    assert as_text(BUSY).splitlines()[2:] == [
        "",
        "Waits for you: 1 refund, 1 webhook.",
        "  $6.00 on ord_5, asked for 3 hours ago: clawver-orders approve rfi_2 --sandbox",
        "  A webhook to register, asked for 5 hours ago: clawver-orders webhook register https://x.example/ --sandbox",
        "",
        "Outcome not known: 1 refund. Look it up with: clawver-orders refunds check --sandbox",
        "  $4.00 on ord_6, sent 4 hours ago: rfi_3",
        "",
        "Stuck: 2 orders; 1 holds a customer's money; 1 unpaid.",
        "  ord_1, $24.99: Cancelled, but $24.99 is not refunded.",
        "  ord_2, EUR 5.00: 2 days old and still pending. Last seen 2 days ago.",
        "",
        "Came in: 3 orders, 2 paid, $24.99 + EUR 5.00.",
        "  2026-11-23: 1 order",
        "  2026-11-24: 2 orders",
        "",
        "Refunded: 2 refunds, $16.00.",
        "  2026-11-24T11:00Z, $7.00 on ord_3, approved by person on the page (pin)",
        "  2026-11-24T10:00Z, $9.00 on ord_4, not sent from here",
        "",
        "How much is known: Orders kept here since 2026-11-01: 3.",
    ]


def test_markdown_has_headings_and_lists_and_no_name_changes_it() -> None:
    lines = as_markdown(replace(BUSY, store="*Ada* <b>")).splitlines()

    assert lines[0] == r"# Digest of \*Ada\* \<b\>"
    assert lines[4:10] == [
        "## Waits for you",
        "",
        "1 refund, 1 webhook.",
        "",
        "- $6.00 on ord_5, asked for 3 hours ago: clawver-orders approve rfi_2 --sandbox",
        "- A webhook to register, asked for 5 hours ago: clawver-orders webhook register https://x.example/ --sandbox",
    ]
    assert lines[-3:] == [
        "## How much is known",
        "",
        "Orders kept here since 2026-11-01: 3.",
    ]


def test_markdown_begins_every_sentence_with_a_capital() -> None:
    assert as_markdown(QUIET).splitlines().count("Nothing.") == 4


@pytest.mark.parametrize(
    ("stuck", "says"),
    [
        ([BUSY.stuck[0]] * 2, "Stuck: 2 orders; 2 hold a customer's money."),
        ([BUSY.stuck[1]], "Stuck: 1 order; 1 unpaid."),
    ],
)
def test_what_is_stuck_is_counted_by_whether_it_holds_money(stuck: list[Stuck], says: str) -> None:
    assert says in as_text(replace(QUIET, stuck=stuck)).splitlines()


def test_a_long_list_is_cut_for_people_and_whole_for_programs() -> None:
    many = [replace(BUSY.stuck[0], order_id=f"ord_{n}") for n in range(LINES + 6)]
    digest = replace(BUSY, stuck=[*many, BUSY.stuck[1]])

    for told, dash in ((as_text(digest), "  "), (as_markdown(digest), "- ")):
        lines = told.splitlines()
        place = lines.index(f"{dash}6 more: --format json names all.")
        assert lines[place - 1].startswith(f"{dash}ord_{LINES - 1}, ")
        assert lines[place + 1].startswith(f"{dash}ord_2, ")
    assert len(as_json(digest)["stuck"]) == LINES + 7


def test_many_orders_that_nobody_has_paid_hide_none_that_somebody_has() -> None:
    unpaid = [replace(BUSY.stuck[1], order_id=f"ord_{n}") for n in range(60)]
    told = as_text(replace(BUSY, stuck=[BUSY.stuck[0], *unpaid])).splitlines()

    place = told.index("Stuck: 61 orders; 1 holds a customer's money; 60 unpaid.")
    assert told[place + 1 : place + 4] == [
        "  ord_1, $24.99: Cancelled, but $24.99 is not refunded.",
        "  60 unpaid orders: --format json names them.",
        "",
    ]


def test_programs_get_whole_cents_and_times_in_utc() -> None:
    document = json.loads(json.dumps(as_json(BUSY)))

    assert document["since"] == "2026-11-23T12:00:00Z"
    assert document["came_in"]["sales_in_cents"] == {"USD": 2499, "EUR": 500}
    assert document["went_back"][0] == {
        "order_id": "ord_3", "amount_in_cents": 700, "currency": "USD", "at": "2026-11-24T11:00:00Z",
        "refund_id": "rfi_1", "approved_by": "person on the page", "grade": "pin", "channel": "page",
    }  # fmt: skip
