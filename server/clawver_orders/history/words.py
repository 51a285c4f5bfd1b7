"""How a text is found again, in any script and however it is typed. No I/O.

Texts are compared folded: without upper case, accents and width, so that "muller" finds "Müller".
Three letters and more are found anywhere in a word. Two letters are found where they are a whole
word, and anywhere in scripts that put no spaces between words, where many names are that short. A single
letter is found as a word, and anywhere in Chinese, Japanese and Korean, where many surnames are one.
"""

from clawver_orders.clawver.models import Order
from clawver_orders.text import folded_letters, ideographs, is_ideographs, unspaced

SHORT = 2


def folded(text: str) -> str:
    """A text as it is compared: its words with one space between them."""
    return " ".join(folded_letters(text).split())


def searched(order: Order) -> str:
    """Everything of an order that is searched, folded, one part a line."""
    where = order.shipping_address
    parts = [
        order.id,
        order.customer_email,
        where.name if where else None,
        _together(where.name) if where else None,
        order.tracking_number,
        order.status,
        order.payment_status,
        *(item.product_name for item in order.items or ()),
        *(item.product_id for item in order.items or ()),
    ]
    return "\n".join(dict.fromkeys(folded(part) for part in parts if part))


def _together(name: str | None) -> str | None:
    """A name as it is written without spaces too; None where it is not."""
    words = (name or "").split()
    return "".join(words) if all(map(is_ideographs, words)) else None


def short_words(text: str) -> set[str]:
    """What is found by two letters or one, in a text that `searched` made."""
    found = {word for word in text.split() if len(word) <= SHORT}
    for run in unspaced(text):
        found |= {run[place : place + SHORT] for place in range(len(run) - 1)}
    for run in ideographs(text):
        found |= set(run)
    return found


def wanted(text: str) -> tuple[list[str], list[str]]:
    """The words of a search, folded: those that are found anywhere, and the short ones."""
    words = list(dict.fromkeys(folded(text).split()))
    return [w for w in words if len(w) > SHORT], [w for w in words if len(w) <= SHORT]


def is_found(order: Order, text: str) -> bool:
    """Whether a search for this text finds an order."""
    anywhere, short = wanted(text)
    if not anywhere and not short:
        return True
    there = searched(order)
    return all(word in there for word in anywhere) and short_words(there).issuperset(short)
