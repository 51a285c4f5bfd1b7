"""What customers wrote about orders, looked through in Clawver's own list: it cannot be asked for one order."""

from collections.abc import Callable
from dataclasses import dataclass

from clawver_orders.clawver.models import Order, Review
from clawver_orders.errors import ClawverError
from clawver_orders.orders.privacy import Masking
from clawver_orders.services import Services
from clawver_orders.time_limit import while_there_is_time

REVIEWS_UNREADABLE = "Reviews could not be read now."
MOST_PAGES = 3
"""The most requests for reviews that one call makes."""
LONGEST_TEXT = 200
"""The most characters of a review that an answer has."""


@dataclass(frozen=True)
class Reviews:
    """Those that were looked for, and what is said of others."""

    found: tuple[Review, ...]
    lacks: str = ""
    """Why some may be missing; nothing where none can be."""


async def reviews_of(services: Services, is_wanted: Callable[[Review], bool]) -> Reviews:
    """Look through the reviews of the store, as far as a few requests go. Never raises.

    Args:
        services: What tools work with.
        is_wanted: Whether one is looked for.
    """
    found: list[Review] = []
    cursor, looked = "", 0
    with while_there_is_time() as scope:
        for _ in range(MOST_PAGES):
            try:
                page, cursor = await services.clawver.reviews(cursor)
            except ClawverError:
                return Reviews(tuple(found), REVIEWS_UNREADABLE)
            looked += len(page)
            found += [each for each in page if is_wanted(each)]
            if not cursor:
                return Reviews(tuple(found))
    if scope.cancelled_caught:
        return Reviews(tuple(found), REVIEWS_UNREADABLE)
    return Reviews(
        tuple(found), f"Only the first {looked} reviews that Clawver lists were looked through."
    )


def in_a_cell(review: Review, order: Order | None, masking: Masking) -> str:
    """A review in a row: its stars, and the beginning of what it says.

    Args:
        review: The review.
        order: Whose details may stand in it; None where that is not known.
        masking: How its customer is shown.
    """
    stars = "?" if review.rating is None else review.rating
    text = ": ".join(" ".join(each.split()) for each in (review.title, review.body) if each)
    if masking.masked:
        text = masking.words(text, order, review.reviewer_name) if order else "…"
    text = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
    return f"{stars} of 5. {text}".strip()
