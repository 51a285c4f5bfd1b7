"""What a person looks for among the orders: what they typed, and where it is kept.

Names and addresses of customers stand in no address of a page: a list has a handle, and lives with the
session, in memory or in the database that several machines share.
"""

import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ConfigDict, ValidationError

from clawver_orders.days import Calendar
from clawver_orders.errors import InvalidRequestError
from clawver_orders.storage.database import Database, off_thread
from clawver_orders.tools.arguments import (
    CreatedAfter,
    CreatedBefore,
    CustomerEmail,
    PaymentStatus,
    ProductText,
    SearchText,
    StatusFilter,
    span_of,
)
from clawver_orders.tools.listing import Filters
from clawver_orders.web.sessions import Session

MOST_LISTS = 20
"""So many lists of a session are kept, the newest."""
LABELS: Final = {
    "search": "Search",
    "status": "Status",
    "payment_status": "Payment",
    "created_after": "From",
    "created_before": "Before",
    "product": "Product",
    "customer_email": "E-mail",
}
"""The fields of the form, which are the filters of `list_orders`, and what the page calls them."""
WRONG_SPAN = "From has to be a day before the other one, and not in the future."


class _Typed(BaseModel):
    model_config = ConfigDict(extra="ignore")

    search: SearchText = ""
    status: StatusFilter = None
    payment_status: PaymentStatus = None
    created_after: CreatedAfter = ""
    created_before: CreatedBefore = ""
    product: ProductText = ""
    customer_email: CustomerEmail = ""


class MistypedError(Exception):
    """A filter that can't be used.

    Args:
        field: Which one.
        text: What it has to be.
    """

    def __init__(self, field: str, text: str) -> None:
        self.field, self.text = field, text
        super().__init__(text)


def filters_of(form: dict[str, str], calendar: Calendar, now: datetime) -> Filters:
    """The filters that a form holds.

    Args:
        form: What was typed; a field that is missing or empty filters nothing.
        calendar: Its days are meant.
        now: The current time.

    Raises:
        MistypedError: A field of it can't be used.
    """
    given = {name: form[name] for name in LABELS if form.get(name)}
    try:
        typed = _Typed.model_validate(given)
        span = span_of(typed.created_after, typed.created_before, calendar, now)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        raise MistypedError(name, f"{LABELS[name]}: {_why(first)}.") from None
    except InvalidRequestError:
        raise MistypedError("created_after", WRONG_SPAN) from None
    return Filters(
        typed.status,
        typed.payment_status,
        typed.customer_email,
        typed.product,
        typed.search,
        *span,
    )


def _why(error: Any) -> str:
    """What a field has to be; the words for those that a person types are those of the tools."""
    raised = error.get("ctx", {}).get("error")
    return str(raised) if isinstance(raised, ValueError) else "choose one of the list"


@dataclass
class OrderSearch:
    """A list of orders that a person looks at."""

    handle: str = ""
    """What names it in addresses; nothing for the list of all orders."""
    typed: dict[str, str] = field(default_factory=dict)
    """What was typed, by the names of `list_orders`."""
    begins: list[int | None] = field(default_factory=lambda: [None])
    """Behind which order each page begins that was shown, or comes next."""

    def shown(self, number: int, behind: int | None) -> None:
        """Note where the page after this one begins.

        Args:
            number: The page that was shown.
            behind: Where the next one begins; None where there is none.
        """
        del self.begins[number:]
        if behind is not None:
            self.begins.append(behind)


class Searches:
    """The lists of each session. They end with it."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Session, dict[str, OrderSearch]] = WeakKeyDictionary()

    async def find(self, session: Session, handle: str) -> OrderSearch | None:
        """A list of a session; that of all orders there is always."""
        own = self._of.setdefault(session, {})
        if not handle:
            return own.setdefault("", OrderSearch())
        return own.get(handle)

    async def keep(self, session: Session, typed: dict[str, str]) -> OrderSearch:
        """The list for what was typed, which has a handle from now on."""
        given = _given(typed)
        own = self._of.setdefault(session, {})
        for each in (OrderSearch(), *own.values()):
            if each.typed == given:
                return each
        made = OrderSearch(secrets.token_urlsafe(12), given)
        own[made.handle] = made
        while len(own) > MOST_LISTS:
            del own[next(each for each in own if each)]
        return made

    async def shown(
        self,
        session: Session,  # noqa: ARG002  # for what keeps it by that
        search: OrderSearch,
        number: int,
        behind: int | None,
    ) -> None:
        """Note where the page of a list after this one begins.

        Args:
            session: Whose list it is.
            search: The list.
            number: The page that was shown.
            behind: Where the next one begins; None where there is none.
        """
        search.shown(number, behind)


class SharedSearches(Searches):
    """The lists of each session, known to all servers of the store. They end with it.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, session: Session, handle: str) -> OrderSearch | None:
        """Look for its row."""
        found = await off_thread(lambda: self._of_session(session))
        return next((e for e in found if e.handle == handle), None if handle else OrderSearch())

    async def keep(self, session: Session, typed: dict[str, str]) -> OrderSearch:
        """The list for what was typed, kept as a row."""
        given = _given(typed)
        for each in (OrderSearch(), *await off_thread(lambda: self._of_session(session))):
            if each.typed == given:
                return each
        made = OrderSearch(secrets.token_urlsafe(12), given)
        await off_thread(lambda: self._write(session, made))
        return made

    async def shown(
        self, session: Session, search: OrderSearch, number: int, behind: int | None
    ) -> None:
        """Note it in the row of the list, where it isn't there yet."""
        before = [*search.begins]
        search.shown(number, behind)
        if search.begins != before:
            await off_thread(lambda: self._write(session, search))

    def _of_session(self, session: Session) -> list[OrderSearch]:
        with self._database.reading() as rows:
            found = rows.execute(
                "SELECT handle, typed, begins FROM search WHERE place = ?", (session.place,)
            ).fetchall()
        return [
            OrderSearch(handle, json.loads(t), json.loads(begins)) for handle, t, begins in found
        ]

    def _write(self, session: Session, search: OrderSearch) -> None:
        with self._database.writing() as rows:
            rows.execute(
                "INSERT INTO search (place, handle, typed, begins) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (place, handle) DO UPDATE SET begins = excluded.begins",
                (session.place, search.handle, json.dumps(search.typed), json.dumps(search.begins)),
            )  # fmt: skip
            rows.execute(
                "DELETE FROM search WHERE place = ? AND handle NOT IN"
                " (SELECT handle FROM search WHERE place = ? ORDER BY number DESC LIMIT ?)",
                (session.place, session.place, MOST_LISTS),
            )


def _given(typed: dict[str, str]) -> dict[str, str]:
    """The fields that filter something."""
    return {name: typed[name] for name in LABELS if typed.get(name) not in {None, "", "any"}}
