"""How customers are shown to agents and people, as the merchant decided (`CLAWVER_PII`)."""

import re
from dataclasses import dataclass
from typing import Self

from clawver_orders.clawver.models import Order
from clawver_orders.settings import Settings
from clawver_orders.text import is_ideographs, masked_email, masked_name, masked_words, unspaced

_BETWEEN_NAMES = re.compile("[+\\s.,;:·・()\"'\u2019/\\-\u2013_]+")
_SHORTEST_OF_MAILBOX = 3
"""So many letters before the @ of an address are taken for a name."""


@dataclass(frozen=True)
class Masking:
    """How customers are shown.

    Args:
        masked: Whether e-mail and name are shortened, and address and tracking hidden.
    """

    masked: bool = False

    @classmethod
    def by(cls, settings: Settings) -> Self:
        """From the settings."""
        return cls(masked=settings.pii == "masked")

    def email(self, email: str | None) -> str | None:
        """An e-mail address, shortened if the merchant wants that."""
        return masked_email(email) if email and self.masked else email

    def name(self, name: str | None) -> str | None:
        """A name, shortened if the merchant wants that."""
        return masked_name(name) if name and self.masked else name

    def detail(self, text: str | None) -> str | None:
        """A detail of an address or a parcel, hidden if the merchant wants that."""
        return "…" if text and self.masked else text

    def words(self, text: str, order: Order, writer: str = "") -> str:
        """A text that somebody wrote, such as the reason of a refund.

        Args:
            text: The text.
            order: Whose details may stand in it.
            writer: The name of who wrote it.

        Returns:
            The text; if the merchant wants that, without e-mail addresses and without what the order
            knows of its customer.
        """
        if not self.masked:
            return text
        return masked_words(text, [*_details(order), *filter(None, _parts_of(writer))])


def _details(order: Order) -> list[str]:
    found = [order.customer_email, order.tracking_number, order.tracking_url]
    mailbox = (order.customer_email or "").partition("@")[0]
    found += [each for each in _parts_of(mailbox) if len(each) >= _SHORTEST_OF_MAILBOX]
    where = order.shipping_address
    if where is not None:
        parts = (where.line1, where.line2, where.city, where.state, where.postal_code)
        # Two letters of an address, such as a state's, say nothing and would be found everywhere.
        found += [each for each in parts if each and (len(each) > 2 or unspaced(each[0]))]
        found += _parts_of(where.name or "")
    return [each for each in found if each]


def _parts_of(name: str) -> list[str]:
    """A name, and the parts of it that may stand alone."""
    words = _BETWEEN_NAMES.split(name)
    together = "".join(words) if all(map(is_ideographs, words)) else ""
    parts = [name, together, *words]
    for word in (*words, together):
        if is_ideographs(word):  # without spaces nobody can see where the surname ends
            parts += [word[:1], word[:2], word[1:], word[2:]]
    return parts
