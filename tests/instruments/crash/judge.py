"""Holds every answer, and the ledger at the end, against what the store recorded."""

import asyncio
import re
from datetime import datetime
from pathlib import Path

from tests.instruments.crash.elsewhere import instant_on
from tests.instruments.crash.host import Answer
from tests.instruments.crash.watch import BY_HAND, SHORT_BY_CENTS

from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.records import Wish
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_sandbox.shop import API_KEY, Shop

_OF_ONE_REFUND = re.compile(r"No money was moved by refund rfi_")
_DENIALS = {"not_recorded", "needs_approval", "declined"}
_REFUSED = "Clawver refused this refund, and the order does not list it so far"


class Judge:
    """Knows one order, for which one refund is wanted.

    Args:
        shop: The store.
        order_id: The order.
        amount_in_cents: What is to go back.
        may_double: Whether nobody here can keep it from being paid twice: the store records two for
            one request, or approval is off and what Clawver refused takes effect all the same. Then
            it has to be told.
        is_restored: Whether the ledger is put back from an older copy.
        may_arrive: Whether what was lost, or given up long ago, may arrive during any call: an answer
            can only tell what arrived before it.
        database_url: The database that has the ledger; None where it is in the state folder.
    """

    def __init__(
        self,
        shop: Shop,
        order_id: str,
        amount_in_cents: int,
        *,
        may_double: bool = False,
        is_restored: bool = False,
        may_arrive: bool = False,
        database_url: str | None = None,
    ) -> None:
        self._database_url = database_url
        self._shop = shop
        self._order_id = order_id
        self._amount_in_cents = amount_in_cents
        self._may_double = may_double
        self._is_restored = is_restored
        self._may_arrive = may_arrive
        self._warnings = ""
        self.resolved: set[str] = set()
        """The refunds of which somebody said what became of them."""
        self.broken: list[str] = []

    @property
    def recorded(self) -> list[str]:
        """The refunds that the store recorded because it was asked to, by their ids."""
        amounts = {self._amount_in_cents, self._amount_in_cents - SHORT_BY_CENTS}
        return [
            refund["id"]
            for refund in self._shop.order(self._order_id)["refunds"]
            if refund["amountInCents"] in amounts and refund["reason"] != BY_HAND
        ]

    @property
    def by_hand(self) -> list[str]:
        """The refunds that somebody made elsewhere."""
        refunds = self._shop.order(self._order_id)["refunds"]
        return [refund["id"] for refund in refunds if refund["reason"] == BY_HAND]

    def hear(self, answer: Answer, before: list[str], *, alone: bool) -> None:
        """Check that an answer is true.

        Args:
            answer: What the server said.
            before: What was recorded when the call was made.
            alone: Whether no other call for this order was on its way.
        """
        now = self.recorded
        self._warnings += str(answer.says.get("warning"))
        if len(now) > 1 and not self._may_double:
            self._complain("refunded twice", answer)
        known = [*now, *(self.by_hand if answer.status == "already_refunded" else [])]
        claims = answer.status in {"refunded", "already_refunded"}
        is_resolved = answer.says.get("refund_id") in self.resolved
        if claims and answer.says.get("clawver_refund_id") not in known and not is_resolved:
            self._complain("said to be refunded, and is not", answer)
        said = answer.error or str(answer.says.get("message"))
        denies = (answer.status in _DENIALS and not said.startswith(_REFUSED)) or (
            "No money was moved" in answer.error and not _OF_ONE_REFUND.search(answer.error)
        )
        if denies and (before or (alone and now and not self._may_arrive)):
            self._complain("said not to be refunded, and is", answer)
        facts = ("No money was moved", "Nothing was sent", "holds no refund of order", _REFUSED)
        if answer.error and not any(words in answer.error for words in facts):
            self._complain("an error that says nothing about the money", answer)

    def close(self, state: Path, api_url: str, machine: int = 0) -> str:
        """Check the end: the store, and the ledger against it.

        Args:
            state: The state folder.
            api_url: Where the store answers.
            machine: The machine that works with the state: another one that looked would count.

        Returns:
            The outcome in a word.
        """
        now = self.recorded
        if len(now) > 1 and not self._may_double:
            self._complain("refunded twice", Answer())
        elif len(now) > 1 and not all(each in self._warnings for each in now):
            self._complain(f"refunded twice, and not told: {self._warnings}", Answer())
        wishes = self._wishes(state, api_url, machine)
        attempts = [attempt for wish in wishes for attempt in wish.attempts]
        ours = {each.clawver_refund_id for each in attempts if each.clawver_refund_id}
        ours |= {each for attempt in attempts for each in attempt.unexpected_refunds}
        if ours != set(now) and not (self._is_restored and ours.issubset(now)):
            self._complain(f"the ledger knows {sorted(ours)}, the store {now}", Answer())
        words = {r["id"]: r["reason"] for r in self._shop.order(self._order_id)["refunds"]}
        for attempt in attempts:
            given = attempt.clawver_refund_id
            if given in words and words[given] != attempt.reason and not attempt.resolved:
                self._complain(f"{attempt.refund_id} was given the refund of another", Answer())
            if attempt.is_open:
                self._complain(f"{attempt.refund_id} is still {attempt.status}", Answer())
        if len(now) > 1:
            return "twice"
        return "refunded" if now else "not refunded"

    def given_up(self, state: Path, api_url: str, machine: int = 0) -> set[str]:
        """The reasons of the attempts that had their whole verification window, and weren't listed."""
        wishes = self._wishes(state, api_url, machine)
        return {
            attempt.reason
            for wish in wishes
            for attempt in wish.attempts
            if attempt.status == "not_recorded" or attempt.reads_after_window > 0
        }

    def landed_late(
        self, state: Path, api_url: str, verify_seconds: float, machine: int = 0
    ) -> bool:
        """Whether the store recorded a refund later than the verification window of its attempt.

        That is the one thing the design cannot see, and a machine under heavy load may do it.
        """
        wishes = self._wishes(state, api_url, machine)
        attempts = [attempt for wish in wishes for attempt in wish.attempts]
        for refund in self._shop.order(self._order_id)["refunds"]:
            at = datetime.fromisoformat(refund["createdAt"])
            sent = [a.sent.at for a in attempts if a.reason == refund["reason"]]
            if sent and all((at - each).total_seconds() > verify_seconds for each in sent):
                return True
        return False

    def _wishes(self, state: Path, api_url: str, machine: int) -> tuple[Wish, ...]:
        """What the ledger knows of the order."""
        ledger = ledger_of(state, api_url, machine, self._database_url)
        return asyncio.run(ledger.of_order(self._order_id)).wishes

    def _complain(self, what: str, answer: Answer) -> None:
        said = answer.error or str(answer.says)
        self.broken.append(f"{what}: {self._order_id}, recorded {self.recorded}; {said}")


def ledger_of(
    state: Path, api_url: str, machine: int = 0, database_url: str | None = None
) -> Ledger:
    """The ledger of a state folder, or that of its store in a database."""
    settings = Settings(
        api_url=api_url, api_key=API_KEY, state_dir=state, database_url=database_url
    )
    scope = scopes.known(settings)
    if scope is None or database_url is None:
        return Ledger(ledger_file(state, api_url), lambda: instant_on(machine))
    return Ledger.of(settings, scope, lambda: instant_on(machine))


def ledger_file(state: Path, api_url: str) -> Path:
    """The ledger in a state folder."""
    settings = Settings(api_url=api_url, api_key=API_KEY, state_dir=state)
    scope = scopes.known(settings)
    folder = settings.key_dir if scope is None else scope.folder  # no store, no refunds
    return folder / "ledger.sqlite3"
