"""Every refund of one store, noted before the money moves and never forgotten.

The records are those of `records`: a wish, its attempts, and the questions and decisions about it.

    waiting ──► sending ──► refunded            Clawver listed it
       │           │  ├───► refused ──► refunded    Clawver refused, and it landed all the same
       │           │  └───► not_sent            the connection was never made
       │           └──► unknown ──► refunded    found by reading the order
       │                       └──► not_recorded ──► refunded (landed late)
       ├──► declined                            a person declined
       └──► expired                             nobody decided in time

Only `begin_send` lets money go. It works in one transaction, and the file itself refuses a second
open attempt of an order, a second attempt for one refund of Clawver, and an attempt without a
decision. Every change leaves a line in a history that nobody can edit, and that nothing here reads.

A wish keeps which sandbox store it was for, where that store said that it is one. Those alone
can be forgotten, when the sandbox starts again; the file itself refuses to delete any other.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from clawver_orders.caller import WAITS, Approval
from clawver_orders.refunds.ledger_file import reads, writes
from clawver_orders.refunds.ledger_rows import Rows, in_seconds
from clawver_orders.refunds.ledger_wishes import (
    MovedOnError,
    Wishes,
    check_number,
    decide,
    decline,
    known,
)
from clawver_orders.refunds.records import (
    MAY_HAVE_MOVED,
    OPEN,
    UNCERTAIN,
    Actor,
    Attempt,
    LedgerEvent,
    Limits,
    OrderRecords,
    SeenRefund,
    Sent,
    Wish,
)
from clawver_orders.storage.database import ConstraintError, Value
from clawver_orders.storage.sql import as_text, listed

READS_TO_BELIEVE = 2
"""How many reads have to agree before anything is taken for not having happened."""
_AT_ONCE = 100
FORGOTTEN = (
    ("question", "subject"),
    ("decision", "subject"),
    ("attempt", "refund_id"),
    ("history", "refund_id"),
    ("former_id", "refund_id"),
    ("wish", "refund_id"),
)
"""Tables that hold something of a wish, and the column that names it; the wish itself comes last."""


class DailyLimitError(Exception):
    """The refund would go above what may be given back in 24 hours.

    Args:
        spent_in_cents: What went back in the last 24 hours.
    """

    def __init__(self, spent_in_cents: int) -> None:
        self.spent_in_cents = spent_in_cents


def _move(
    rows: Rows, attempt: Attempt, to: Sent, why: str, actor: Actor, values: Mapping[str, Value]
) -> Wish:
    """The one place where the status of an attempt changes; the file refuses what cannot follow."""
    number = rows.note(attempt.refund_id, to, actor, why)
    try:
        moved = _update(rows, attempt, {"status": to, "number": number, **values})
    except ConstraintError as error:
        raise MovedOnError from error
    if not moved:
        raise MovedOnError
    return known(rows, attempt.refund_id)


def _update(rows: Rows, attempt: Attempt, values: Mapping[str, Value]) -> bool:
    """Change an attempt that has the status with which it was read."""
    sets = ", ".join(f"{column} = ?" for column in values)
    changed = rows.connection.execute(
        f"UPDATE attempt SET {sets} WHERE refund_id = ? AND revision = ? AND status = ?",  # noqa: S608  # names of ours
        (*values.values(), attempt.refund_id, attempt.revision, attempt.status),
    )
    return changed.rowcount == 1


class Ledger(Wishes):
    """The refunds of one store.

    Every method that is awaited works in a thread of its own. Its errors begin with the fact that
    nothing was sent.
    """

    # Looking.

    @reads
    def find(self, rows: Rows, refund_id: str) -> Wish | None:
        """The wish with this id."""
        return rows.wish(refund_id)

    @reads
    def of_order(self, rows: Rows, order_id: str) -> OrderRecords:
        """All that is known of the refunds of an order."""
        return rows.order(order_id, rows.now if rows.is_older else None)

    @reads
    def latest(self, rows: Rows, limit: int, behind: str = "") -> tuple[Wish, ...]:
        """The wishes that were noted last, newest first: no more than `limit`, and only those behind one."""
        if not behind:
            return rows.wishes("ORDER BY number DESC LIMIT ?", limit)
        there = "number < (SELECT number FROM wish WHERE refund_id = ?)"
        return rows.wishes(f"WHERE {there} ORDER BY number DESC LIMIT ?", behind, limit)

    @reads
    def waiting(self, rows: Rows) -> tuple[Wish, ...]:
        """The wishes that wait for a person, newest first."""
        since = rows.now.at - WAITS  # whatever the uptime says: by the clock it is less
        shown = rows.wishes(  # without the + 0 SQLite would walk through all of them in their order
            "WHERE previewed_at > ? ORDER BY number + 0 DESC", since.timestamp()
        )
        return tuple(wish for wish in shown if wish.status == "waiting")

    @reads
    def decided(self, rows: Rows, limit: int) -> tuple[Wish, ...]:
        """The latest wishes that neither wait nor are open, newest first, and no more than `limit`."""
        found: list[Wish] = []
        seen = 0
        while len(found) < limit and (
            some := rows.wishes("ORDER BY number DESC LIMIT ? OFFSET ?", _AT_ONCE, seen)
        ):
            found += [each for each in some if each.status != "waiting" and not each.is_open]
            seen += len(some)
        return tuple(found[:limit])

    @reads
    def uncertain(self, rows: Rows) -> tuple[Wish, ...]:
        """The wishes of which a later look at the order may still tell something else, newest first."""
        attempted = f"SELECT refund_id FROM attempt WHERE status IN {listed(UNCERTAIN)}"  # noqa: S608  # words of ours
        found = rows.wishes(f"WHERE refund_id IN ({attempted}) ORDER BY number DESC")
        return tuple(wish for wish in found if wish.status in UNCERTAIN)

    @reads
    def all_open(self, rows: Rows, order_id: str = "") -> tuple[Wish, ...]:
        """The wishes whose money may be on its way, newest first.

        Args:
            order_id: Only those of this order; of every one when left out.
        """
        opened = f"SELECT refund_id FROM attempt WHERE status IN {listed(OPEN)}"  # noqa: S608  # words of ours
        where = f"WHERE refund_id IN ({opened})"
        if order_id:
            return rows.wishes(f"{where} AND order_id = ? ORDER BY number DESC", order_id)
        return rows.wishes(f"{where} ORDER BY number DESC")

    @reads
    def history(self, rows: Rows, refund_id: str) -> tuple[LedgerEvent, ...]:
        """What happened to a wish, oldest first: for people to read."""
        return rows.history(refund_id)

    @reads
    def seen(self, rows: Rows, order_id: str) -> tuple[SeenRefund, ...]:
        """All refunds that Clawver ever listed of an order, as far as they were noted.

        Args:
            order_id: The order.

        Returns:
            They, whichever store said that it is a sandbox: the mark only says what may be
            forgotten, and hides nothing.
        """
        return rows.seen(order_id)

    @reads
    def spent_in_cents(self, rows: Rows) -> int:
        """What was sent in the last 24 hours and may have moved money, in cents."""
        return rows.spent_in_cents()

    @reads
    def sent_without_pin_in_cents(self, rows: Rows, order_id: str) -> int:
        """What was sent without the PIN and may have moved money, in cents.

        Args:
            order_id: All that was sent on this order counts, and of other orders that of 24 hours.
        """
        return rows.sent_without_pin_in_cents(order_id)

    # The money.

    @writes
    def begin_send(
        self,
        rows: Rows,
        number: int,
        wish: Wish,
        approval: Approval,
        question: int | None,
        refunds_before: Sequence[str],
        server_time: datetime | None,
        limits: Limits,
        client: str,
        instead_of: str | None = None,
    ) -> Wish:
        """Note the approval and let the money go: the only way to a request that moves it.

        Args:
            number: The place of the order's latest line of history when its records were read.
            wish: What was approved, in the revision that was.
            approval: Whose yes it is, and what it is worth.
            question: The number of the question that it answers; None where none was put.
            refunds_before: The ids of the refunds that the order carries now.
            server_time: The store's time now; None where it told none.
            limits: The most that may go back, this one included.
            client: The name and version of the program that called.
            instead_of: A wish for more, which is declined with this one; None where there is none.

        Raises:
            DailyLimitError: It would be too much for 24 hours.
            MovedOnError: Something happened on the order since its records were read, another
                revision is current, or the approval doesn't suffice by now.
        """
        check_number(rows, wish.order_id, number)
        current = known(rows, wish.refund_id)
        if (current.revision, current.status) != (wish.revision, "waiting"):
            raise MovedOnError
        spent = rows.spent_in_cents()
        if spent + wish.amount_in_cents > limits.daily_in_cents:
            raise DailyLimitError(spent)
        if limits.pin_above_in_cents is not None and approval.grade != "pin":
            without_pin = rows.sent_without_pin_in_cents(wish.order_id) + wish.amount_in_cents
            if without_pin > limits.pin_above_in_cents:
                raise MovedOnError
        if instead_of is not None:
            if known(rows, instead_of).status in MAY_HAVE_MOVED:
                raise MovedOnError
            decline(rows, instead_of, approval, client)
        actor = Actor(client, approval.who)
        policy = f", policy {approval.policy}" if approval.policy else ""
        detail = f"revision {wish.revision}, approved by {approval.who} ({approval.grade}){policy}"
        line = rows.note(wish.refund_id, "sending", actor, detail)
        now = rows.now
        try:
            decide(rows, current, "approve", approval, client, question, line)
            rows.connection.execute(
                "INSERT INTO attempt (refund_id, revision, order_id, amount_in_cents, reason,"
                " refunds_before, sent_at, sent_uptime, sent_boot, sent_by_server, sent_number, status, number)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'sending', ?)",
                (wish.refund_id, wish.revision, wish.order_id, wish.amount_in_cents, current.reason,
                 json.dumps(sorted(refunds_before)), now.at.timestamp(), now.uptime, now.boot,
                 in_seconds(server_time), line, line),
            )  # fmt: skip
        except ConstraintError as error:
            raise MovedOnError from error
        return known(rows, wish.refund_id)

    @writes
    def move(self, rows: Rows, attempt: Attempt, to: Sent, why: str, actor: Actor) -> Wish:
        """Note what became of an attempt, where no refund of Clawver's belongs to it.

        Raises:
            MovedOnError: That cannot follow from what is noted by now.
        """
        return _move(rows, attempt, to, why, actor, {})

    @writes
    def claim(
        self,
        rows: Rows,
        attempt: Attempt,
        clawver_refund_id: str,
        stripe_refund_id: str | None,
        unexpected_refunds: Sequence[str],
        actor: Actor,
    ) -> Wish:
        """Clawver lists it: this refund of the order belongs to this attempt and to no other.

        Raises:
            MovedOnError: Another attempt has claimed that refund, or the outcome of this one is known.
        """
        values = {
            "clawver_refund_id": clawver_refund_id,
            "stripe_refund_id": stripe_refund_id,
            "unexpected_refunds": json.dumps(unexpected_refunds),
        }
        return _move(rows, attempt, "refunded", f"listed as {clawver_refund_id}", actor, values)

    @writes
    def resolve(
        self,
        rows: Rows,
        attempt: Attempt,
        to: Sent,
        clawver_refund_id: str | None,
        because: str,
        actor: Actor,
    ) -> Wish:
        """A person says what became of an attempt that the order doesn't tell about.

        Args:
            attempt: The attempt.
            to: What became of it: `refunded` or `not_recorded`.
            clawver_refund_id: The refund of Clawver's that it is; None where that isn't known.
            because: How they know.
            actor: Who says so.

        Raises:
            MovedOnError: It is no longer open.
        """
        values = {"resolved": 1, "clawver_refund_id": clawver_refund_id}
        return _move(rows, attempt, to, because, actor, values)

    @writes
    def add_unexpected(
        self, rows: Rows, attempt: Attempt, clawver_refund_ids: Sequence[str], actor: Actor
    ) -> None:
        """Further refunds of its amount showed on the order, and nobody meant them."""
        named = json.dumps(sorted(clawver_refund_ids))
        _update(rows, attempt, {"unexpected_refunds": named})
        rows.note(attempt.refund_id, "unexpected", actor, f"also listed: {named}")

    @writes
    def count_read(self, rows: Rows, attempt: Attempt, actor: Actor) -> Wish:
        """One read after the verification window did not list it; of an open one the second ends it.

        Raises:
            MovedOnError: Something else became of it by now.
        """
        reads = attempt.reads_after_window + 1
        values: dict[str, Value] = {"reads_after_window": reads, "last_read": as_text(rows.now)}
        if not _update(rows, attempt, values):
            raise MovedOnError
        rows.note(attempt.refund_id, "not listed", actor, "after the verification window")
        if attempt.status == "unknown" and reads >= READS_TO_BELIEVE:
            return _move(rows, attempt, "not_recorded", "not listed, twice", actor, {})
        return known(rows, attempt.refund_id)

    @writes
    def note_check(self, rows: Rows, attempt: Attempt) -> None:
        """Note that an open attempt was looked up at a start."""
        _update(rows, attempt, {"checks": attempt.checks + 1, "last_check": as_text(rows.now)})

    @writes
    def note_reported(self, rows: Rows, attempt: Attempt, event: int, actor: Actor) -> None:
        """Note that an event was a reason to look, whatever was found."""
        rows.connection.execute(
            "UPDATE attempt SET reported_event = ? WHERE refund_id = ? AND revision = ?",
            (event, attempt.refund_id, attempt.revision),
        )
        rows.note(attempt.refund_id, "looked because of an event", actor, f"evt_{event}")

    @writes
    def add_seen(self, rows: Rows, order_id: str, refunds: Sequence[SeenRefund]) -> None:
        """Note refunds that Clawver lists, so that an older answer cannot hide them later.

        Args:
            order_id: The order.
            refunds: They; what is noted already stays as it is.
        """
        rows.add_seen(order_id, refunds)

    def forget(self, sandbox: str | None) -> int:
        """Forget all wishes for a sandbox store that starts again.

        Args:
            sandbox: The id of that store; None for every sandbox store.

        Returns:
            How many wishes are kept, because they are for another store.

        Raises:
            ClawverError: The file cannot be used. Nothing was forgotten.
        """
        if not self.exists:
            return 0
        gone = "SELECT refund_id FROM wish WHERE sandbox <> '' AND sandbox = COALESCE(?, sandbox)"
        with self.transaction() as rows:
            for table, key in FORGOTTEN:
                rows.connection.execute(f"DELETE FROM {table} WHERE {key} IN ({gone})", (sandbox,))  # noqa: S608  # words of ours
            rows.connection.execute(
                "DELETE FROM seen_refund WHERE sandbox <> '' AND sandbox = COALESCE(?, sandbox)",
                (sandbox,),
            )
            (kept,) = rows.connection.execute("SELECT COUNT(*) FROM wish").fetchone()
        return int(kept)
