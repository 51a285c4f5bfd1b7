"""Holds every answer, and the ledger at the end, against what the store recorded."""

import re
from datetime import datetime
from pathlib import Path

from tests.instruments.crash.host import Answer

from clawver_orders.refunds.ledger import Intent, Ledger
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_sandbox.shop import API_KEY, Shop

_OF_ONE_INTENT = re.compile(r"No money was moved by refund rfi_")
_DENIALS = {"not_recorded", "needs_confirmation", "declined"}


class Judge:
    """Knows one order, for which one refund is wanted.

    Args:
        shop: The store.
        order_id: The order.
        amount_in_cents: What is to go back.
    """

    def __init__(self, shop: Shop, order_id: str, amount_in_cents: int) -> None:
        self._shop = shop
        self._order_id = order_id
        self._amount_in_cents = amount_in_cents
        self.broken: list[str] = []

    @property
    def recorded(self) -> list[str]:
        """The refunds of this amount that the store carries, by their ids."""
        return [
            refund["id"]
            for refund in self._shop.order(self._order_id)["refunds"]
            if refund["amountInCents"] == self._amount_in_cents
        ]

    def hear(self, answer: Answer, before: list[str], *, alone: bool) -> None:
        """Check that an answer is true.

        Args:
            answer: What the server said.
            before: What was recorded when the call was made.
            alone: Whether no other call for this order was on its way.
        """
        now = self.recorded
        if len(now) > 1:
            self._complain("refunded twice", answer)
        claims = answer.status in {"refunded", "already_refunded"}
        if claims and answer.says.get("clawver_refund_id") not in now:
            self._complain("said to be refunded, and is not", answer)
        denies = answer.status in _DENIALS or (
            "No money was moved" in answer.error and not _OF_ONE_INTENT.search(answer.error)
        )
        if denies and (before or (alone and now)):
            self._complain("said not to be refunded, and is", answer)
        known = ("No money was moved", "Nothing was sent", "holds no refund of order")
        if answer.error and not any(words in answer.error for words in known):
            self._complain("an error that says nothing about the money", answer)

    def close(self, state: Path, api_url: str) -> str:
        """Check the end: the store, and the ledger against it.

        Returns:
            The outcome in a word.
        """
        now = self.recorded
        if len(now) > 1:
            self._complain("refunded twice", Answer())
        intents = _ledger(state, api_url).of_order(self._order_id)
        ours = [intent.clawver_refund_id for intent in intents if intent.state == "confirmed"]
        if sorted(map(str, ours)) != sorted(now):
            self._complain(f"the ledger knows {ours}, the store {now}", Answer())
        words = {r["id"]: r["reason"] for r in self._shop.order(self._order_id)["refunds"]}
        for intent in intents:
            if (
                intent.clawver_refund_id in words
                and words[intent.clawver_refund_id] != intent.reason
            ):
                self._complain(f"{intent.refund_id} was given the refund of another", Answer())
            if intent.is_open:
                self._complain(f"{intent.refund_id} is still {intent.state}", Answer())
        return "refunded" if now else "not refunded"

    def landed_late(self, state: Path, api_url: str, settle_seconds: float) -> bool:
        """Whether the store recorded a refund later than the settle window of its attempt.

        That is the one thing the design cannot see, and a machine under heavy load may do it.
        """
        intents = _ledger(state, api_url).of_order(self._order_id)
        for refund in self._shop.order(self._order_id)["refunds"]:
            at = datetime.fromisoformat(refund["createdAt"]).timestamp()
            sent = [
                i.sent_at.timestamp() for i in intents if i.sent_at and i.reason == refund["reason"]
            ]
            if sent and all(at > each + settle_seconds for each in sent):
                return True
        return False

    def _complain(self, what: str, answer: Answer) -> None:
        said = answer.error or str(answer.says)
        self.broken.append(f"{what}: {self._order_id}, recorded {self.recorded}; {said}")


def intents_of(state: Path, api_url: str, order_id: str) -> tuple[Intent, ...]:
    """What the ledger in a state folder knows of an order."""
    return _ledger(state, api_url).of_order(order_id)


def _ledger(state: Path, api_url: str) -> Ledger:
    settings = Settings(api_url=api_url, api_key=API_KEY, state_dir=state)
    scope = scopes.known(settings)
    folder = settings.key_dir if scope is None else scope.folder  # no store, no refunds
    return Ledger(folder / "ledger.sqlite3")
