"""A digest in words: plain lines, Markdown, or JSON. No I/O."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from clawver_orders.money import display
from clawver_orders.reports.digest import Digest, Stuck, WentBack
from clawver_orders.tools.answers import ago, in_utc

LINES = 25
"""The most lines of a list; programs get all of them as JSON."""
FEW = 5
"""So many orders that nobody has paid are named; more would hide what matters."""


@dataclass(frozen=True)
class Chapter:
    """One of the things that a digest tells."""

    title: str
    says: str
    lines: Sequence[str] = ()


def as_json(digest: Digest) -> dict[str, Any]:
    """All of it, for programs. Amounts are in the smallest unit of their currency, times in UTC."""
    found: dict[str, Any] = _plain(asdict(digest))
    del found["option"]
    return found


def as_text(digest: Digest) -> str:
    """It for a terminal or a mail."""
    parts = [f"Store: {digest.store}", _span(digest)]
    for each in chapters(digest):
        parts += ["", f"{each.title}: {each.says}", *(f"  {line}" for line in each.lines)]
    return "\n".join(parts)


def as_markdown(digest: Digest) -> str:
    """The same for a chat or a page."""
    parts = [f"# Digest of {_escaped(digest.store)}", "", _span(digest)]
    for each in chapters(digest):
        parts += ["", f"## {each.title}", "", each.says[:1].upper() + each.says[1:]]
        parts += ["", *(f"- {line}" for line in each.lines)] if each.lines else []
    return "\n".join(parts)


def chapters(digest: Digest) -> list[Chapter]:
    """What a digest tells, what needs somebody first."""
    found = [
        _waiting(digest),
        _unknown(digest),
        _stuck(digest),
        _came_in(digest),
        _went_back(digest),
        Chapter("How much is known", digest.why_incomplete or "")
        if digest.why_incomplete
        else None,
    ]
    return [each for each in found if each is not None]


def _waiting(digest: Digest) -> Chapter:
    refunds = [
        f"{display(each.amount_in_cents)} on {each.order_id}, asked for {ago(each.since, digest.now)}: "
        f"clawver-orders approve {each.refund_id}{digest.option}"
        for each in digest.waiting
    ]
    changes = [
        f"A webhook to {each.action}, asked for {ago(each.since, digest.now)}: {each.command}"
        for each in digest.waiting_changes
    ]
    counts = [(refunds, "refund"), (changes, "webhook")]
    says = ", ".join(_many(listed, name) for listed, name in counts if listed)
    return Chapter("Waits for you", f"{says or 'nothing'}.", _cut([*refunds, *changes]))


def _unknown(digest: Digest) -> Chapter | None:
    """Only where there are any."""
    if not digest.unknown:
        return None
    lines = [
        f"{display(each.amount_in_cents)} on {each.order_id}, sent {ago(each.since, digest.now)}: {each.refund_id}"
        for each in digest.unknown
    ]
    them = "it" if len(lines) == 1 else "them"
    says = f"{_many(lines, 'refund')}. Look {them} up with: clawver-orders refunds check{digest.option}"
    return Chapter("Outcome not known", says, _cut(lines))


def _stuck(digest: Digest) -> Chapter:
    holding = [each for each in digest.stuck if each.holds_money]
    unpaid = [each for each in digest.stuck if not each.holds_money]
    says = _many(digest.stuck, "order")
    if holding:
        says += f"; {len(holding)} {'holds' if len(holding) == 1 else 'hold'} a customer's money"
    if unpaid:
        says += f"; {len(unpaid)} unpaid"
    rest = [_stuck_line(each, digest.now) for each in unpaid]
    if len(unpaid) > FEW:
        rest = [f"{len(unpaid)} unpaid orders: --format json names them."]
    lines = _cut([_stuck_line(each, digest.now) for each in holding])
    return Chapter("Stuck", f"{says}.", [*lines, *rest])


def _stuck_line(each: Stuck, now: datetime) -> str:
    seen = f" Last seen {ago(each.as_of, now)}." if each.as_of else ""
    return f"{each.order_id}, {display(each.total_in_cents, each.currency)}: {each.why}{seen}"


def _came_in(digest: Digest) -> Chapter:
    new = digest.came_in
    sales = " + ".join(display(cents, currency) for currency, cents in new.sales_in_cents.items())
    says = _number(new.orders, "order")
    if new.orders:
        says += f", {new.paid_orders} paid{f', {sales}' if sales else ''}"
    days = [f"{day}: {_number(orders, 'order')}" for day, orders in new.by_day.items()]
    return Chapter("Came in", f"{says}.", _cut(days) if len(days) > 1 else [])


def _went_back(digest: Digest) -> Chapter:
    sums: Counter[str] = Counter()
    for each in digest.went_back:
        sums[each.currency] += each.amount_in_cents
    known = " + ".join(display(cents, currency) for currency, cents in sums.items())
    says = _many(digest.went_back, "refund") + (f", {known}" if known else "")
    return Chapter("Refunded", f"{says}.", _cut([_refund_line(each) for each in digest.went_back]))


def _refund_line(each: WentBack) -> str:
    by = (
        f"approved by {each.approved_by} ({each.grade})" if each.refund_id else "not sent from here"
    )
    return f"{in_utc(each.at)}, {display(each.amount_in_cents, each.currency)} on {each.order_id}, {by}"


def _span(digest: Digest) -> str:
    return f"From {in_utc(digest.since)} to {in_utc(digest.now)}. Days are those of {digest.time_zone}."


def _cut(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    left_out = len(lines) - LINES
    more = [f"{left_out} more: --format json names all."] if left_out > 0 else []
    return [*lines[:LINES], *more]


def _many(listed: Sequence[object], name: str) -> str:
    return _number(len(listed), name)


def _number(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}" if count else "nothing"


def _escaped(text: str) -> str:
    """A name in which Markdown finds nothing to obey."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&-])", r"\\\1", text)


def _plain(value: object) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
