"""An agent that ignores every warning: it repeats what it was told to do once, in other words."""

import random
import time
from collections.abc import Callable

from tests.instruments.crash.host import Answer, KillableHost
from tests.instruments.crash.judge import Judge
from tests.instruments.crash.trouble import VERIFY_SECONDS

REASONS = (
    "Smudged", "The print was smudged", "Customer says that the print is smudged", "smudged print, sorry",
    "Goodwill", "As discussed with the customer", "Refund requested", "Retry of the refund", "RETRY",
)  # fmt: skip
TURNS = 6


class Agent:
    """Wants one refund of one order, and does not let go.

    Args:
        host: Gives the server that is alive now; starts one where there is none.
        judge: Hears every answer.
        order_id: The order.
        amount_in_cents: What is to go back.
        dice: Chance.
        resolve: Somebody at a terminal who says what became of a refund.
        decide: The merchant, who approves what an answer says waits for them; None where the agent's
            own word is enough.
        mark: The last digit of its reasons: who sent a refund is told by that.
        alone: Whether nobody else wants the same meanwhile.
    """

    def __init__(
        self,
        host: Callable[[], KillableHost],
        judge: Judge,
        order_id: str,
        amount_in_cents: int,
        dice: random.Random,
        resolve: Callable[[str], None],
        decide: Callable[[Answer], None] | None = None,
        *,
        mark: int = 0,
        alone: bool = True,
    ) -> None:
        self._mark = mark
        self._alone = alone
        self._decide = decide
        self._host = host
        self._resolve = resolve
        self._judge = judge
        self._order_id = order_id
        self._amount_in_cents = amount_in_cents
        self._dice = dice
        self._last: Answer | None = None
        self._reason = ""
        self.statuses: list[str] = []

    def insist(self) -> None:
        """Ask for the refund again and again, whatever the answers are."""
        self._refund()
        for _ in range(self._dice.randint(1, TURNS)):
            last, chance = self._last, self._dice.random()
            if last is None and chance < 0.3:
                self._call("check_refund", order_id=self._order_id)
            elif last is None:
                self._refund()
            elif last.status == "needs_approval" and chance < 0.9:
                self._confirm(last)
            elif last.status == "not_recorded" and chance < 0.7:
                self._refund(last.says["in_addition_to"])  # as the answer says
            elif last.status in {"unknown", "busy"} and chance < 0.4 and "refund_id" in last.says:
                self._call("check_refund", refund_id=last.says["refund_id"])
            elif last.says.get("refund_id") and chance < 0.1:
                self._confirm(last)
            elif chance < 0.25:
                self._twice_at_once()
            elif chance < 0.35:
                self._walk_away()
            else:
                self._refund()

    def insist_once_more(self) -> None:
        """Ask again when nothing goes wrong any more, and do what the answers say."""
        self._refund()
        for _ in range(3):
            if self._last is not None and self._last.status == "not_recorded":
                self._refund(self._last.says["in_addition_to"])
            elif self._last is not None and self._last.status == "needs_approval":
                self._confirm(self._last)

    def find_out(self, seconds: float) -> None:
        """Look until it is clear what became of it. Sends nothing."""
        now = time.monotonic()
        end, certain = now + seconds, now + VERIFY_SECONDS
        while True:
            self._call("check_refund", order_id=self._order_id)
            last = self._last
            # A server that ended while it asked leaves its question behind: nothing was sent.
            is_asking = last is not None and "is being asked" in str(last.says.get("message"))
            # Another server may hold the ledger still, for as long as the database lets it.
            is_away = last is not None and "Repeat the call in a minute" in last.error
            is_clear = last is not None and last.status not in {"unknown", "busy"} and not is_away
            if is_asking or is_clear:
                return
            needs_person = last is not None and "refunds resolve" in last.next_step
            if last is not None and needs_person and time.monotonic() > certain:
                self._resolve(last.says["refund_id"])
            if time.monotonic() > end:
                self._judge.broken.append(f"never settled: {self._order_id}, {last}")
                return
            time.sleep(0.2)

    def _refund(self, in_addition_to: list[str] | None = None) -> None:
        self._call("refund_order", **self._wanted(in_addition_to or []))

    def _confirm(self, last: Answer) -> None:
        if self._decide is not None:
            self._decide(last)
            self._call("check_refund", refund_id=last.says["refund_id"])
            return
        shown = last.says.get("revision") or self._dice.randint(1, 3)
        self._call("confirm_refund", refund_id=last.says["refund_id"], revision=shown)

    def _wanted(self, in_addition_to: list[str]) -> dict[str, object]:
        wanted: dict[str, object] = {
            "order_id": self._order_id,
            "amount_in_cents": self._amount_in_cents,
            "reason": self._rephrased(),
        }
        return wanted | ({"in_addition_to": in_addition_to} if in_addition_to else {})

    def _rephrased(self) -> str:
        """Other words than before, mostly. The number tells the judge whose refund it is."""
        if not self._reason or self._dice.random() < 0.8:
            number = self._dice.randrange(10**8) * 10 + self._mark
            self._reason = f"{self._dice.choice(REASONS)} ({number})"
        return self._reason

    def _call(self, tool: str, **arguments: object) -> None:
        host, before = self._host(), self._judge.recorded
        self._hear(host.call(tool, **arguments), before, alone=self._alone)

    def _twice_at_once(self) -> None:
        host, before = self._host(), self._judge.recorded
        calls = [host.start("refund_order", **self._wanted([])) for _ in range(2)]
        for call in calls:
            self._hear(call.wait(), before, alone=False)

    def _walk_away(self) -> None:
        """Cancel a call in flight, and ask for the same again at once."""
        host = self._host()
        call = host.start("refund_order", **self._wanted([]))
        time.sleep(self._dice.uniform(0, 0.05))
        host.cancel(call)
        self._last = None

    def _hear(self, answer: Answer | None, before: list[str], *, alone: bool) -> None:
        self._last = answer
        self.statuses.append("no answer" if answer is None else answer.status)
        if answer is not None:
            self._judge.hear(answer, before, alone=alone)
