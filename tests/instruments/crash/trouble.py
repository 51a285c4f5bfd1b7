"""What goes wrong in an iteration, and when the server is ended."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

from tests.instruments.crash.gate import Gate
from tests.instruments.crash.watch import BY_HAND, Point, WatchedShop

from clawver_sandbox.catalogue import Wire

VERIFY_SECONDS = 1.5
TIMEOUT_SECONDS = 0.5
HANG_SECONDS = 3 * TIMEOUT_SECONDS
LATE_SECONDS = VERIFY_SECONDS / 4
"""Within the verification window: what lands after it is the one thing that the design cannot see."""
STALE_SECONDS = VERIFY_SECONDS / 2
"""How long reads may hide a refund, counted from the request."""


@dataclass(frozen=True)
class Fault:
    """One way for a refund to go wrong at the store."""

    name: str
    on_refund: str = ""
    """What happens to the request that moves money."""
    status: int = 500
    seconds: float = 0.0
    on_reads: str = ""
    """What happens to the next reads, before the request or after it."""
    reads: int = 0
    gate: Literal["", "shut", "shut for the refund"] = ""
    besides: Literal["", "lands late", "another amount", "by hand"] = ""
    """What else becomes of the request: it takes effect after its answer, or with another amount, or
    somebody refunds the same amount just before it.
    """
    state: Literal["", "moved", "restored"] = ""
    """What happens to the state folder while it is not clear what became of the request: a machine that
    is up for longer goes on with it, or the ledger is put back from an older copy. What was lost
    arrives only then.
    """

    @property
    def is_delivered_twice(self) -> bool:
        """Whether the store records two for one request: nobody here can prevent that."""
        return self.on_refund.startswith("duplicate")

    @property
    def is_refused_in_vain(self) -> bool:
        """Whether Clawver refuses what takes effect, so that no read at once shows it."""
        is_hidden = self.status == 400 and self.on_reads == "stale_read"
        return (
            is_hidden or self.besides == "lands late" or (self.status, self.state) == (400, "moved")
        )


FAULTS = (
    Fault("none"),
    Fault("refused", gate="shut"),
    Fault("refused after the read", gate="shut for the refund"),
    Fault("drop before", "drop_before"),
    Fault("drop after", "drop_after"),
    Fault("hang before", "hang_before", seconds=HANG_SECONDS),
    Fault("hang after", "hang_after", seconds=HANG_SECONDS),
    Fault("late", "late", seconds=LATE_SECONDS),
    Fault("slow", "slow", seconds=0.25),
    Fault("truncated", "truncated"),
    Fault("garbage", "garbage"),
    Fault("bare 200", "bare_success"),
    Fault("200 without the refund", "no_refunds_listed"),
    Fault("wrong types", "wrong_types"),
    Fault("307", "redirect"),
    Fault("400 before", "status_before", 400),
    Fault("400 after", "status_after", 400),
    Fault("409 before", "status_before", 409),
    Fault("409 after", "status_after", 409),
    Fault("429 before", "rate_limited"),
    Fault("429 after", "status_after", 429),
    Fault("500 before", "status_before", 500),
    Fault("500 after", "status_after", 500),
    Fault("502 before", "status_bare", 502),
    Fault("502 after", "status_after", 502),
    Fault("503 before", "status_before", 503),
    Fault("503 after", "status_after", 503),
    Fault("stale reads", on_reads="stale_read", reads=6),
    Fault("drop after, stale reads", "drop_after", on_reads="stale_read", reads=6),
    Fault("late, stale reads", "late", seconds=LATE_SECONDS, on_reads="stale_read", reads=6),
    Fault("drop after, blind", "drop_after", on_reads="drop_before", reads=6),
    Fault("drop before, blind", "drop_before", on_reads="status_before", reads=6),
    Fault("400, lands late", "status_before", 400, besides="lands late"),
    Fault("403, lands late", "status_before", 403, besides="lands late"),
    Fault("404, lands late", "status_before", 404, besides="lands late"),
    Fault("429, lands late", "rate_limited", besides="lands late"),
    Fault("400 after, stale reads", "status_after", 400, on_reads="stale_read", reads=6),
    Fault("another amount", besides="another amount"),
    Fault("another amount, drop after", "drop_after", besides="another amount"),
    Fault("delivered twice", "duplicate"),
    Fault("both listed, stale reads", "duplicate_listed", on_reads="stale_read", reads=6),
    Fault("by hand as well", besides="by hand"),
    Fault("by hand as well, drop before", "drop_before", besides="by hand"),
    Fault("drop before, moved", "drop_before", state="moved"),
    Fault("400 before, moved", "status_before", 400, state="moved"),
    Fault("restored", state="restored"),
    Fault("drop before, restored", "drop_before", state="restored"),
)

Moment = Literal[
    "never",
    "read",
    "arrived",
    "recorded",
    "answering",
    "mid-answer",
    "after",
    "recovery",
    "any time",
]
MOMENTS: dict[Moment, tuple[tuple[Point, bool], ...]] = {
    "never": (),
    "any time": (),
    "read": (("read", True),),
    "arrived": (("arrived", True),),
    "recorded": (("recorded", True),),
    "answering": (("answering", True),),
    "mid-answer": (("answering", False),),
    "after": (("arrived", False), ("read", True)),
    "recovery": (("arrived", True), ("read", True)),
}
"""When the server is ended: the points to be seen one after the other, and whether it ends at each."""
End = Literal["SIGKILL", "SIGTERM", "EOF"]
ENDS: tuple[End, ...] = ("SIGKILL", "SIGTERM", "EOF")


@dataclass(frozen=True)
class Plan:
    """What one iteration does. All of it follows from the seed; only the timing is the machine's."""

    number: int
    fault: Fault
    times: int
    """How many requests for the refund it spoils."""
    moment: Moment
    end: End
    delay: float
    """For `any time` and `mid-answer`: how long after the call, or after the answer began."""
    total_in_cents: int
    amount_in_cents: int
    carries: bool
    """Whether the order carries an earlier, foreign refund of another amount."""
    dice: random.Random = field(compare=False)

    @classmethod
    def of(cls, seed: int, number: int) -> "Plan":
        """The plan of an iteration. Faults take turns, and meet another lane in each round."""
        dice = random.Random(f"{seed}:{number}")  # noqa: S311  # chance, not a secret
        total = dice.randint(1000, 9000)
        fault = FAULTS[(number + number // len(FAULTS)) % len(FAULTS)]
        is_room_for_two = bool(fault.besides) or fault.is_delivered_twice
        return cls(
            number,
            fault,
            dice.choice((1, 1, 2)),
            dice.choice(tuple(MOMENTS)[1:]) if dice.random() < 0.6 else "never",
            dice.choices(ENDS, (6, 2, 1))[0],
            dice.uniform(0.0, 0.3),
            total * (1 + is_room_for_two),
            dice.choice((total, total // 3, 100)),
            dice.random() < 0.2,
            dice,
        )

    def may_double(self, approval: str) -> bool:
        """Whether what remains possible allows that the customer is paid twice.

        The store records two for one request; or what Clawver refused takes effect all the same,
        and nobody waits: approval is off, or the merchant approves another one all the same.
        """
        return self.fault.is_delivered_twice or (
            approval in {"off", "console"} and self.fault.is_refused_in_vain
        )


class Trouble:
    """Lets the faults of a plan happen to an order.

    Args:
        shop: The store.
        gate: The line to it.
        order_id: The order.
        plan: What is to go wrong.
    """

    def __init__(self, shop: WatchedShop, gate: Gate, order_id: str, plan: Plan) -> None:
        self._arrivals: list[threading.Timer] = []
        self._has_changed = False
        self._lost: list[Wire] = []
        self._shop = shop
        self._gate = gate
        self._order_id = order_id
        self._fault = plan.fault
        self._times = plan.times
        self._arrived_at: float | None = None

    def begin(self) -> None:
        """Arrange what does not wait for anything."""
        if self._fault.gate == "shut":
            self._gate.shut()
        if self._fault.besides == "another amount":
            self._shop.short.add(self._order_id)
        if self._fault.on_refund:
            self._shop.add_fault(
                self._fault.on_refund,
                method="POST",
                path=f"{self._order_id}/refund",
                times=self._times,
                status=self._fault.status,
                seconds=self._fault.seconds,
            )
        if self._fault.on_reads and not self._fault.on_refund:
            self._spoil_reads()

    def see(self, point: Point) -> None:
        """Go on with what waits for this point."""
        now = time.monotonic()
        if point == "read" and self._fault.gate == "shut for the refund":
            self._gate.shut()
        if point == "arrived" and self._arrived_at is None:
            self._arrived_at = now
            if self._fault.on_reads and self._fault.on_refund:
                self._spoil_reads()
            if self._fault.besides == "by hand":
                amount = self._shop.asked[self._order_id][0]["amountInCents"]
                self._shop.lands(self._order_id, amount, BY_HAND)
        if point == "arrived" and self._fault.besides == "lands late":
            asked = self._shop.asked[self._order_id]
            self._arrives(*asked[-1:] if len(asked) <= self._times else ())
        if point == "read" and self._has_changed:
            self.arrive()
        stale = self._fault.on_reads == "stale_read" and self._arrived_at is not None
        if point == "read" and stale and now - (self._arrived_at or now) > STALE_SECONDS:
            self._shop.clear_faults()

    def change(self, given_up: set[str]) -> None:
        """The state folder changed: what was lost arrives soon after the order is read next.

        Args:
            given_up: The reasons of the attempts that had their whole window before. If those arrive,
                they arrive too late: that is what remains possible, here as anywhere.
        """
        self._has_changed = True
        asked = self._shop.asked.get(self._order_id, [])[: self._times]
        self._lost = [body for body in asked if body["reason"] not in given_up]

    def arrive(self) -> None:
        """What was lost is on its way now."""
        if self._fault.on_refund and self._has_changed:
            self._arrives(*self._lost)
        self._has_changed = False

    def _arrives(self, *bodies: Wire) -> None:
        for body in bodies:
            timer = threading.Timer(
                LATE_SECONDS,
                self._shop.lands,
                [self._order_id, body["amountInCents"], body["reason"]],
            )
            timer.start()
            self._arrivals.append(timer)

    def end(self) -> None:
        """Let nothing more go wrong, and see all arrive that still does."""
        for timer in self._arrivals:
            timer.join()
        self._shop.clear_faults()
        self._gate.open()

    def _spoil_reads(self) -> None:
        self._shop.add_fault(
            self._fault.on_reads,
            method="GET",
            path=f"{self._order_id}$",
            times=self._fault.reads,
            status=503,
        )
