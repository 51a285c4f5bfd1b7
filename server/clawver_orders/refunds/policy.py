"""The merchant's rules for refunds, and what they say of one. No I/O.

A refund outside the rules needs the approval that they name, or is forbidden; one within them needs
what it would need without them.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clawver_orders.caller import Grade
from clawver_orders.clawver.models import Item, Order
from clawver_orders.errors import NO_MONEY_MOVED, RefusedError, SetupError
from clawver_orders.money import display
from clawver_orders.problems import problems_of, what_is_wrong

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_TABLE = re.compile(r"\s*\[\[?\s*([^\[\]#]+?)\s*\]")
_KEY = re.compile(r"[a-z_]{1,40}")
Days = Annotated[int, Field(ge=0, le=3650)]
ProductId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class _Part(BaseModel):
    """A table of the file. A key that it doesn't have is an error, and so is a value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ProductRules(_Part):
    """What holds for one product instead of what holds for all."""

    id: ProductId
    window_days: Days


class CustomerLimit(_Part):
    """How often one customer may be refunded in so many days."""

    count: Annotated[int, Field(ge=1, le=1000)]
    days: Annotated[int, Field(ge=1, le=3650)]


class RefundRules(_Part):
    """What a refund has to keep to. A rule that is left out forbids nothing."""

    window_days: Days | None = None
    """How many days after the payment of an order it may be refunded."""
    final_sale: Annotated[list[ProductId], Field(max_length=10_000)] = []
    """Products that put an order outside the rules."""
    max_cents_per_order: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """The most that may go back on one order, with what went back before."""
    max_refunds_per_customer: CustomerLimit | None = None
    """How many refunds one customer may have in so many days, this one included."""
    outside: Literal["chat", "console", "pin", "never"] = "pin"
    """The least that an approval has to prove for a refund outside these rules; `never` forbids it."""
    product: Annotated[list[ProductRules], Field(max_length=10_000)] = []


class _File(_Part):
    refund: RefundRules


@dataclass(frozen=True)
class CustomerRefunds:
    """How often a customer was refunded, as far as that is known on this machine.

    Args:
        count: How many refunds there were in the days that the rule names.
        since: Since when orders are kept in the order history; None where none are.
        thin: How many orders are kept there without details, whoever's they are.
        unknown: Why it can't be told, as the end of a sentence; nothing where it can.
    """

    count: int = 0
    since: datetime | None = None
    thin: int = 0
    unknown: str = ""

    @property
    def as_far_as(self) -> str:
        """How far the number can be relied on, as a sentence."""
        since = "no orders yet" if self.since is None else f"orders since {self.since:%Y-%m-%d}"
        thin = f", {self.thin} of them without details" if self.thin else ""
        return f"That is as far as the order history knows: it has {since}{thin}."


NOT_COUNTED = CustomerRefunds(unknown="nobody counted it.")


@dataclass(frozen=True)
class PolicyVerdict:
    """What the rules say of a refund.

    Args:
        rules: The names of the rules that it is outside of; none where it is within all of them.
        why: The same as a sentence each, for the person who decides.
        needs: The lowest grade of approval that suffices; None where it is within the rules.
        digest: Which rules these were, as short as a name.
        facts: What the person who decides is told besides, a sentence each.
        numbers: What of the reasons may change with time alone: how many refunds the customer had.
    """

    rules: tuple[str, ...]
    why: tuple[str, ...]
    needs: Grade | None
    digest: str
    facts: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()

    @property
    def outside(self) -> tuple[str, ...]:
        """Why it is outside the rules, a sentence each; none where it is within them."""
        return tuple(f"It is outside the store's refund policy: {each}" for each in self.why)

    @property
    def shown(self) -> tuple[str, ...]:
        """The sentences that the person who decides is shown."""
        return (*(self.outside or ("It is within the store's refund policy.",)), *self.facts)

    @property
    def told(self) -> tuple[str, ...]:
        """The same, without the one that says that it is within the rules."""
        return (*self.outside, *self.facts)


@dataclass(frozen=True)
class Policy:
    """The rules of a file.

    Args:
        rules: They.
        digest: Changes when one of them does; comments and spaces don't count.
    """

    rules: RefundRules
    digest: str

    def judge(
        self,
        order: Order,
        amount_in_cents: int,
        now: datetime,
        customer: CustomerRefunds = NOT_COUNTED,
    ) -> PolicyVerdict:
        """What the rules say of a refund. What the order doesn't tell counts as outside.

        Args:
            order: The order, as it was read for this refund.
            amount_in_cents: How much is to go back.
            now: The current time in UTC.
            customer: How often the order's customer was refunded, where a rule asks for it.

        Raises:
            RefusedError: It is outside the rules, and they say that nobody may approve that.
        """
        found = [*self._broken(order, amount_in_cents, now)]
        too_often, facts = _too_often(self.rules.max_refunds_per_customer, customer)
        if too_often:
            found.append(("max_refunds_per_customer", too_often))
        if not found:
            return PolicyVerdict((), (), None, self.digest, facts)
        names = tuple(dict.fromkeys(rule for rule, _ in found))
        why = tuple(dict.fromkeys(words for _, words in found))
        if self.rules.outside == "never":
            raise RefusedError(
                f"The store's refund policy forbids this refund: {' '.join((*why, *facts))}",
                fact=NO_MONEY_MOVED,
                next_step="Tell the person which rule of the merchant forbids it. Only the merchant can "
                "change the file that CLAWVER_REFUND_POLICY names.",
            )
        numbers = (customer.count,) if too_often else ()
        return PolicyVerdict(names, why, self.rules.outside, self.digest, facts, numbers)

    def _broken(
        self, order: Order, amount_in_cents: int, now: datetime
    ) -> Iterator[tuple[str, str]]:
        """Each rule that the refund is outside of, with the reason as a sentence."""
        rules = self.rules
        own = {each.id: each.window_days for each in rules.product}
        items = order.items or ()
        is_whole = bool(items) and not order.unread_items and all(i.product_id for i in items)
        if (own or rules.final_sale) and not is_whole:
            yield "items", "not every product of the order can be told."
        yield from _too_late(order, own, rules.window_days, now)
        for product in _products(items):
            if product in rules.final_sale:
                yield "final_sale", f"{product} is on final sale."
        most, in_all = rules.max_cents_per_order, order.refunded_in_cents + amount_in_cents
        if most is not None and in_all > most:
            yield (
                "max_cents_per_order",
                f"with it {display(in_all)} would go back on the order, and {display(most)} is the most.",
            )


def _products(items: Sequence[Item]) -> list[str]:
    """The products of an order, each once."""
    return list(dict.fromkeys(item.product_id for item in items if item.product_id))


def _too_late(
    order: Order, own: dict[str, int], for_all: int | None, now: datetime
) -> Iterator[tuple[str, str]]:
    """The windows that are over, each product's own in the place of the one for all."""
    products = _products(order.items or ())
    windows = [(f"window_days of {each}", own[each]) for each in products if each in own]
    if for_all is not None and (not products or any(each not in own for each in products)):
        windows.append(("window_days", for_all))
    if windows and order.paid_at is None:
        yield "window_days", "Clawver doesn't say when the order was paid."
        return
    for name, days in windows:
        if order.paid_at is not None and now - order.paid_at > timedelta(days=days):
            until = order.paid_at + timedelta(days=days)
            yield name, f"it could be refunded until {until:%Y-%m-%d %H:%M} UTC ({name} is {days})."


def _too_often(
    limit: CustomerLimit | None, customer: CustomerRefunds
) -> tuple[str, tuple[str, ...]]:
    """Why the customer had too many refunds, nothing where not; and what else is to be told."""
    if limit is None:
        return "", ()
    rule = f"max_refunds_per_customer is {limit.count} in {limit.days} days"
    if customer.unknown:
        return (
            f"it can't be told how often this customer was refunded ({rule}): {customer.unknown}",
            (),
        )
    with_it = customer.count + 1
    refunds = "1 refund" if with_it == 1 else f"{with_it} refunds"
    numbers = f"with it this customer would have {refunds} in {limit.days} days ({rule})."
    if with_it > limit.count:
        return numbers, (customer.as_far_as,)
    return "", (f"W{numbers[1:]}", customer.as_far_as)


def policy_of(raw: bytes) -> Policy:
    """The rules of a file, which is TOML.

    Args:
        raw: What the file holds.

    Raises:
        SetupError: It holds what is no rule. It names the line where it can.
    """
    try:
        text = raw.decode("utf-8-sig")
        found = _File.model_validate(tomllib.loads(text))
    except UnicodeDecodeError:
        raise unusable("it is no text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        line = int(at[1]) if at else len(text.splitlines())
        raise unusable("it is no TOML", line) from None
    except RecursionError:
        raise unusable("it is nested too deeply") from None
    except ValidationError as error:
        problem = problems_of(error)[0]
        raise unusable(_said(problem), _line_of(text, problem["loc"])) from None
    named = [each.id for each in found.refund.product]
    if twice := next((each for each in named if named.count(each) > 1), ""):
        raise unusable(f"{twice} stands twice among the products")
    canonical = found.refund.model_dump_json()
    return Policy(found.refund, hashlib.sha256(canonical.encode()).hexdigest()[:12])


def _said(problem: "ErrorDetails") -> str:
    """What is wrong with a value, without the value."""
    keys = [each for each in problem["loc"] if isinstance(each, str)]
    if problem["type"] == "extra_forbidden":
        return f"{keys[-1]} is no rule" if _KEY.fullmatch(keys[-1]) else "a key in it is no rule"
    return f"{keys[-1]} {what_is_wrong(problem)}"


def _line_of(text: str, location: Sequence[str | int]) -> int | None:
    """The line on which a key stands, or else its table; None where it is written in another way."""
    keys = tuple(each for each in location if isinstance(each, str))
    nth = next((each for each in location if isinstance(each, int)), 0) if len(keys) > 2 else 0
    table: tuple[str, ...] = ()
    table_line, seen = None, -1
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = tuple(part.strip(" \t\"'") for part in header[1].split("."))
            seen += table == keys[:-1]
            if table == keys:
                return number
            if table == keys[:-1] and seen == nth:
                table_line = number
        elif "=" in line and seen in {nth, -1}:
            key = line.partition("=")[0]
            path = (*table, *(part.strip(" \t\"'") for part in key.split(".")))
            if path == keys:
                return number
            if path == keys[:-1]:  # a table on one line
                table_line = number
    return table_line


def unusable(why: str, line: int | None = None) -> SetupError:
    """The error of a file that holds no policy.

    Args:
        why: What is wrong, in lower case and without a full stop.
        line: Where; None where that isn't known.
    """
    where = "" if line is None else f", line {line}"
    return SetupError(
        f"The file in CLAWVER_REFUND_POLICY cannot be used{where}: {why}.",
        fact=NO_MONEY_MOVED,
        next_step="Nothing is refunded until the merchant has corrected that file.",
    )
