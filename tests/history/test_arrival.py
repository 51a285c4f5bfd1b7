"""What the history holds follows from what happened, however it arrives: late, twice, together or not at all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.history.conftest import NOON, Fresh, order

from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import Sought
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery, Inbox

IDS = ("ord_a", "ord_b", "ord_c")
LATER = NOON + timedelta(days=1)
Kind = Literal["read", "listed whole", "listed thin", "gone", "event"]
KINDS: tuple[Kind, ...] = ("read", "listed whole", "listed thin", "gone", "event")


@dataclass(frozen=True)
class Fact:
    """Something that was true of an order at a time."""

    order_id: str
    kind: Kind
    second: int

    @property
    def at(self) -> datetime:
        return NOON + timedelta(seconds=self.second)

    @property
    def status(self) -> str:
        """A word of its own, so that it shows which fact an order was taken from."""
        return f"state{self.second:03}"

    def sighting(self) -> Sighting:
        source: Literal["list", "read"] = "list" if self.kind.startswith("listed") else "read"
        told = {"status": self.status, "shippingAddress": None, "trackingNumber": None}
        body: dict[str, Any] | None = kept(order(self.order_id, **told))
        if self.kind == "listed thin":
            body = {
                "id": self.order_id,
                "status": self.status,
                "totalInCents": self.second,
                "createdAt": "2026-11-20T09:00:00Z",
            }
        elif self.kind == "gone":
            body = None
        return Sighting(self.order_id, body, source, self.at.timestamp())

    def delivery(self) -> Delivery:
        body = f'{{"event":"order.shipped","timestamp":"{self.at.isoformat()}","data":{{"orderId":"{self.order_id}"}}}}'.encode()
        return Delivery(body, parse(body), self.at)


@dataclass(frozen=True)
class Expected:
    """The model: of each kind of fact about an order the last one counts."""

    status: str | None
    is_thin: bool
    marked: float | None
    is_due: bool


def expected(facts: list[Fact]) -> Expected:
    last = {kind: max((f.second for f in facts if f.kind == kind), default=-1) for kind in KINDS}
    whole = max(last["read"], last["listed whole"])
    seen_in_full = max(whole, last["gone"])
    is_there = whole > last["gone"]
    row = last["listed thin"]
    is_row_newer = row > seen_in_full
    newest = row if is_row_newer else whole if is_there else None
    # Another status in a row than in what was read says that it changed since.
    return Expected(
        status=None if newest is None else f"state{newest:03}",
        is_thin=is_row_newer and not is_there,
        marked=(NOON + timedelta(seconds=last["event"])).timestamp() if last["event"] > seen_in_full else None,
        is_due=last["event"] > seen_in_full or is_row_newer,
    )  # fmt: skip


facts = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(KINDS)), min_size=1, max_size=12
).map(lambda many: [Fact(order_id, kind, n) for n, (order_id, kind) in enumerate(many)])


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[Fact]]:
    """What arrives together, one batch after another: in any order, some of it twice, some lost."""
    happened = draw(facts)
    arriving = [each for each in happened for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2))))]
    shuffled = draw(st.permutations(arriving))
    batches: list[list[Fact]] = [[]]
    for each in shuffled:
        if draw(st.booleans()):
            batches.append([])
        batches[-1].append(each)
    return batches


@pytest.mark.slow
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches=arrivals())
def test_however_it_arrives_the_history_holds_what_is_newest_of_what_arrived(
    fresh: Fresh, batches: list[list[Fact]]
) -> None:
    mirror = fresh()
    inbox = Inbox(mirror.folder / "inbox.sqlite3", timedelta(days=30))

    for batch in batches:
        mirror.note([each.sighting() for each in batch if each.kind != "event"], LATER)
        events = [each.delivery() for each in batch if each.kind == "event"]
        if events:
            inbox.note("r", events)
        mirror.take_events(inbox, LATER)

    arrived = [each for batch in batches for each in batch]
    model = {each: expected([f for f in arrived if f.order_id == each]) for each in IDS}
    found = {each.order.id: each for each in mirror.find(Sought(), 10)}
    there = {each: m for each, m in model.items() if m.status is not None}
    assert {each: (kept.order.status, kept.is_thin, kept.is_due) for each, kept in found.items()} == {
        each: (m.status, m.is_thin, m.is_due) for each, m in there.items()
    }  # fmt: skip
    assert dict(mirror.due()) == {each: m.marked for each, m in model.items() if m.is_due}
    extent = mirror.extent()
    assert (extent.orders, extent.thin, extent.due) == (
        len(there),
        sum(m.is_thin for m in there.values()),
        sum(m.is_due for m in model.values()),
    )
    # The index has the same, and nothing of before.
    for second in {each.second for each in arrived}:
        word = f"state{second:03}"
        ids = {each.order.id for each in mirror.find(Sought(search=word), 10)}
        assert ids == {each for each, m in there.items() if m.status == word}
