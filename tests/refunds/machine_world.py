"""The store, the way to it, and the people of the made-up stories."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from clawver_orders.caller import Grade, PageOpener, Question, Reply
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order
from clawver_orders.errors import UnreachableError
from clawver_sandbox import faults
from clawver_sandbox.catalogue import Wire
from clawver_sandbox.shop import Shop

VERIFY_SECONDS = 9.0
REFUSALS = frozenset({400, 403, 404, 429})
BY_HAND = "By hand"
"""Why somebody refunds in Clawver's dashboard."""
SHORT_BY_CENTS = 14
"""How much less is recorded where another amount is."""

Fault = dict[str, Any]
Key = tuple[int, frozenset[str]]
"""What a refund is: the amount, on top of what."""


def post(name: str, status: int = 500) -> Fault:
    return {"name": name, "method": "POST", "status": status}


def reads(name: str, times: int) -> Fault:
    return {"name": name, "method": "GET", "times": times}


FIRST_READ = {"name": "slow", "method": "GET"}
"""Lets the read before the request pass."""
OLD_READINGS = reads("stale_read", 6)
TROUBLE: dict[str, tuple[Fault, ...]] = {
    "none": (),
    "as before": (),
    "lost on its way": (post("drop_before"),),
    "answer lost": (post("drop_after"),),
    "400": (post("status_before", 400),),
    "400 after it was recorded": (post("status_after", 400),),
    "409 after it was recorded": (post("status_after", 409),),
    "503": (post("status_before", 503),),
    "503 after it was recorded": (post("status_after", 503),),
    "garbage": (post("garbage"),),
    "bare 200": (post("bare_success"),),
    "200 without the refund": (post("no_refunds_listed"),),
    "403": (post("status_before", 403),),
    "404": (post("status_before", 404),),
    "429": (post("rate_limited"),),
    "400 after it was recorded, old readings": (
        post("status_after", 400), FIRST_READ, OLD_READINGS,
    ),
    "unreadable order": (reads("garbage", 1),),
    "old readings": (OLD_READINGS,),
    "answer lost, old readings": (post("drop_after"), FIRST_READ, OLD_READINGS),
    "answer lost, unreadable order": (post("drop_after"), FIRST_READ, reads("garbage", 5)),
    "400, unreadable order": (post("status_before", 400), FIRST_READ, reads("garbage", 5)),
    "delivered twice": (post("duplicate"),),
    "delivered twice, both listed": (post("duplicate_listed"),),
    "delivered twice, both listed, old readings": (
        post("duplicate_listed"), FIRST_READ, OLD_READINGS,
    ),
    "another amount recorded": (),
    "another amount recorded, answer lost": (post("drop_after"),),
    "by hand meanwhile": (),
    "by hand meanwhile, answer lost": (post("drop_after"),),
    "by hand meanwhile, lost on its way": (post("drop_before"),),
    "an earlier one arrives meanwhile": (),
    "it never leaves": (),
    "death before it leaves": (),
    "death while it is on its way": (),
    "death after it was recorded": (),
    "death while looking": (post("drop_after"),),
}  # fmt: skip

SIMPLE = list(TROUBLE)[:15]
ODD = [name for name in TROUBLE if name.startswith(("another", "by hand", "delivered"))]
REFUSING = [name for name in TROUBLE if name[:3] in {"400", "403", "404", "429"}]


class Death(BaseException):
    """The process ends here."""


@dataclass(eq=False)
class Sending:
    """A request that left."""

    refund_id: str
    cents: int
    reason: str
    at: float
    status: int = 0
    """With which it was answered; 0 where it was not."""
    named: frozenset[str] = frozenset()
    forgotten: bool = False
    """Whether the ledger is a copy from before it."""
    is_odd: bool = False
    """Whether it was recorded with another amount."""

    @property
    def key(self) -> Key:
        return self.cents, self.named

    @property
    def is_refused(self) -> bool:
        return self.status in REFUSALS


class Store(Shop):
    """Knows which request each refund came from."""

    def __init__(self, path: Path, now: Callable[[], datetime], seed: int) -> None:
        super().__init__(path, now, seed)
        self.sent: list[Sending] = []
        """In order."""
        self.paid: dict[str, Sending | None] = {}
        """The refunds recorded, and the request of each; None for one that was made by hand."""
        self.trouble = ""
        """What goes wrong in the call that is under way."""
        self.sent_before = 0
        self.elapsed = 0.0
        self.has_hidden = False
        """Whether a reading of the call that is under way was an old one."""
        self._numbers: dict[int, Sending] = {}

    @property
    def has_just_sent(self) -> bool:
        return len(self.sent) > self.sent_before

    def is_young(self, sending: Sending) -> bool:
        """Whether it may still take effect, and readings may still be older than it."""
        return self.elapsed - sending.at < VERIFY_SECONDS

    def landed(self, sending: Sending) -> list[str]:
        return [refund for refund, of in self.paid.items() if of is sending]

    def on_its_way(self) -> list[Sending]:
        return [each for each in self.sent if self.is_young(each) and not self.landed(each)]

    def note_request(self, request: Wire) -> int:
        number = super().note_request(request)
        if request["method"] == "POST":
            body = json.loads(request["body"])
            sending = Sending(
                request["idempotency_key"], body["amountInCents"], body["reason"], self.elapsed
            )
            self.sent.append(sending)
            self._numbers[number] = sending
        return number

    def note_status(self, number: int, status: int) -> None:
        super().note_status(number, status)
        if number in self._numbers:
            self._numbers[number].status = status

    def take_fault(self, method: str, path: str) -> faults.Fault | None:
        fault = super().take_fault(method, path)
        if fault is None or fault.name != "stale_read":
            return fault
        # A reading that hides what was there for longer is not old, it is false.
        last = [*self.paid.values()][-1:]
        may_hide = bool(last) and last[0] is not None and self.is_young(last[0])
        self.has_hidden = self.has_hidden or may_hide
        return fault if may_hide else None

    def refund(self, order_id: str, amount_in_cents: object, reason: object) -> Wire:
        sending = self.sent[-1]
        if self.trouble.startswith("another amount"):
            sending.is_odd = True
            amount_in_cents = sending.cents - SHORT_BY_CENTS
        return self.land(sending, order_id, amount_in_cents, reason)

    def land(
        self, sending: Sending | None, order_id: str, amount_in_cents: object, reason: object
    ) -> Wire:
        order = super().refund(order_id, amount_in_cents, reason)
        self.paid[order["refunds"][-1]["id"]] = sending
        return order

    def arrives(self, sending: Sending, order_id: str) -> None:
        """A request that was given up by everybody else takes effect."""
        self.land(sending, order_id, sending.cents, sending.reason)


class Line(Clawver):
    """The way to the store, on which a process can die."""

    store: Store

    async def order(self, order_id: str, *, urgent: bool = False) -> Order:
        if self.store.trouble == "death while looking" and self.store.has_just_sent:
            raise Death
        order = await super().order(order_id, urgent=urgent)
        return order.model_copy(update={"answered_at": self.store._now()})

    async def send_refund(
        self, order_id: str, amount_in_cents: int, reason: str, refund_id: str
    ) -> Order:
        trouble = self.store.trouble
        if trouble == "it never leaves":
            raise UnreachableError("It never left.", next_step="Repeat it.")
        if trouble == "death before it leaves":
            raise Death
        if trouble == "death while it is on its way":
            sending = Sending(refund_id, amount_in_cents, reason, self.store.elapsed)
            self.store.sent.append(sending)
            raise Death
        if trouble.startswith("by hand meanwhile"):
            self.store.land(None, order_id, amount_in_cents, BY_HAND)
        if trouble == "an earlier one arrives meanwhile":
            for earlier in self.store.on_its_way()[-1:]:
                self.store.arrives(earlier, order_id)
        order = await super().send_refund(order_id, amount_in_cents, reason, refund_id)
        if trouble == "death after it was recorded":
            raise Death
        return order


class Person:
    """Sits at a host, and answers in one way."""

    client, is_person, can_ask, person = "host 1", False, True, "person by elicitation"
    grade: Grade = "chat"
    channel = "form"
    opener: PageOpener | None = None
    card: dict[str, object] | None = None
    answered: str | None = None
    answered_number = 0
    answered_revision = 0
    answered_after_seconds = 4.0

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.texts: list[str] = []

    @property
    def told(self) -> str:
        """What a person was told who said yes."""
        is_yes = self.reply is Reply.YES and self.grade != "agent"
        return self.texts[-1] if self.texts and is_yes else ""

    def reply_to(self, refund_id: str) -> Reply | None:  # noqa: ARG002  # the protocol's
        return None

    async def ask(self, question: Question) -> Reply:
        self.texts.append(question.text)
        return self.reply

    async def progress(self, done: int, total: int) -> None:
        """Nobody wants to know."""


class Terminal(Person):
    """Sits at a terminal; or a program does."""

    is_person, channel = True, "terminal"

    def __init__(self, reply: Reply, *, tty: bool, pin: bool = False) -> None:
        super().__init__(reply)
        self.grade = ("pin" if pin else "console") if tty else "agent"
        self.person = "person in the terminal" if tty else "program in the terminal"
