"""How customers are shown to agents and people, as the merchant decided (`CLAWVER_PII`)."""

import re
from dataclasses import dataclass
from typing import Self

from clawver_orders.clawver.models import Order
from clawver_orders.settings import Settings
from clawver_orders.text import masked_email, masked_name, masked_words


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

    def words(self, text: str, order: Order) -> str:
        """A text that somebody wrote, such as the reason of a refund.

        Args:
            text: The text.
            order: Whose details may stand in it.

        Returns:
            The text; if the merchant wants that, without e-mail addresses and without what the order
            knows of its customer.
        """
        return masked_words(text, _details(order)) if self.masked else text


def _details(order: Order) -> list[str]:
    found = [order.customer_email, order.tracking_number, order.tracking_url]
    where = order.shipping_address
    if where is not None:
        found += re.findall(r"\w+", where.name or "")
        found += [where.name, where.line1, where.line2, where.city, where.state, where.postal_code]
    return [each for each in found if each]
