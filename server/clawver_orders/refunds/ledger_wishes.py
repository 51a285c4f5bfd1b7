"""The part of the ledger in which nothing is sent: what is wanted, what a person is asked and says."""

import json
import secrets
from collections.abc import Sequence

from clawver_orders.caller import BY_PERSON, BY_PROGRAM, Reply
from clawver_orders.refunds.ledger_file import LedgerFile, writes
from clawver_orders.refunds.ledger_rows import Rows, as_text
from clawver_orders.refunds.records import (
    MAY_HAVE_MOVED,
    Actor,
    Approval,
    OrderRecords,
    Preview,
    Verdict,
    Wish,
    suffices,
)


def known(rows: Rows, refund_id: str) -> Wish:
    """A wish that has to be there."""
    wish = rows.wish(refund_id)
    if wish is None:
        raise MovedOnError
    return wish


def check_number(rows: Rows, order_id: str, number: int) -> None:
    """Nothing may have happened on an order since its records were read."""
    (last,) = rows.connection.execute(
        "SELECT COALESCE(MAX(number), 0) FROM history WHERE order_id = ?", (order_id,)
    ).fetchone()
    if last != number:
        raise MovedOnError


def decide(
    rows: Rows,
    wish: Wish,
    verdict: Verdict,
    approval: Approval,
    client: str,
    question: int | None,
    number: int,
) -> None:
    """Note a decision. The file refuses a second one about a revision, and one about another revision."""
    rows.connection.execute(
        "INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (wish.refund_id, wish.revision, verdict, approval.grade, approval.channel, approval.who,
         client, as_text(rows.now), question, number),
    )  # fmt: skip


class MovedOnError(Exception):
    """Something happened since the records were read that this would have to know of."""


def decline(rows: Rows, refund_id: str, approval: Approval, client: str) -> Wish:
    """Note a decline: see `Wishes.decline`."""
    wish = known(rows, refund_id)
    actor = Actor(client, approval.who)
    current = next((d for d in wish.decisions if d.revision == wish.revision), None)
    if current is not None and current.verdict == "decline":
        rows.note(wish.refund_id, "declined", actor, "again")
        return wish
    by_person = current is not None and suffices(current.grade, "chat")
    if by_person and wish.status in MAY_HAVE_MOVED:
        rows.note(wish.refund_id, "declined", actor, "too late: a person approved it")
        return wish
    if current is not None:
        rows.connection.execute(
            "UPDATE wish SET revision = revision + 1 WHERE refund_id = ?", (wish.refund_id,)
        )
        wish = known(rows, wish.refund_id)
    number = rows.note(wish.refund_id, "declined", actor, f"revision {wish.revision}")
    decide(rows, wish, "decline", approval, client, None, number)
    return known(rows, wish.refund_id)


class Wishes(LedgerFile):
    """What somebody wants, and what a person says to it."""

    # What somebody wants, and what a person says to it.

    @writes
    def want(
        self,
        rows: Rows,
        number: int,
        order_id: str,
        amount_in_cents: int,
        in_addition_to: Sequence[str],
        reason: str,
        preview: Preview,
        actor: Actor,
    ) -> tuple[OrderRecords, Wish]:
        """Note what somebody wants, or that they still do. Another preview is a new revision.

        Args:
            number: The place of the order's latest line of history when its records were read.
            order_id: The order.
            amount_in_cents: Whole cents, 1 or more.
            in_addition_to: The earlier refunds and attempts that it is meant to come on top of.
            reason: Why.
            preview: What it would show a person now.
            actor: Through which program.

        Returns:
            The records of the order as they are then, and the wish.

        Raises:
            MovedOnError: Something happened on the order since its records were read, or the wish
                was sent and cannot be wanted again.
        """
        check_number(rows, order_id, number)
        key = (order_id, amount_in_cents, json.dumps(sorted(in_addition_to)), preview.sandbox)
        found = rows.wishes(
            "WHERE (order_id, amount_in_cents, in_addition_to, sandbox) = (?, ?, ?, ?)", *key
        )
        now = as_text(rows.now)
        if not found:
            refund_id = f"rfi_{secrets.token_hex(8)}"
            rows.connection.execute(
                "INSERT INTO wish VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)",
                (refund_id, *key, reason, preview.grade_needed, preview.shown,
                 rows.now.at.timestamp(), now),
            )  # fmt: skip
            rows.note(refund_id, "waiting", actor)
            return rows.order(order_id, None), known(rows, refund_id)
        wish = found[0]
        if wish.status in MAY_HAVE_MOVED:
            raise MovedOnError
        shown = (wish.status, wish.shown, wish.grade_needed)
        is_new = shown != ("waiting", preview.shown, preview.grade_needed)
        is_new |= reason != wish.reason and bool(wish.questions)  # they were asked with that reason
        rows.connection.execute(
            "UPDATE wish SET revision = ?, reason = ?, grade_needed = ?, shown = ?, previewed = ?"
            " WHERE refund_id = ?",
            (wish.revision + is_new, reason, preview.grade_needed, preview.shown, now, wish.refund_id),
        )  # fmt: skip
        if is_new:
            rows.note(wish.refund_id, "waiting", actor, f"revision {wish.revision + 1}")
        elif reason != wish.reason:
            rows.note(wish.refund_id, "reworded", actor)
        return rows.order(order_id, None), known(rows, wish.refund_id)

    @writes
    def ask(self, rows: Rows, wish: Wish, channel: str, actor: Actor) -> int:
        """Note that a person is asked about the current revision, and return the question's number.

        Raises:
            MovedOnError: Another revision is current by now.
        """
        current = known(rows, wish.refund_id)
        if (current.revision, current.status) != (wish.revision, "waiting"):
            raise MovedOnError
        asked = rows.connection.execute(
            "INSERT INTO question (subject, revision, channel, client, asked) VALUES (?, ?, ?, ?, ?)",
            (wish.refund_id, wish.revision, channel, actor.client, as_text(rows.now)),
        )
        number = int(asked.lastrowid or 0)
        rows.note(wish.refund_id, "asked", actor, f"question {number}, revision {wish.revision}")
        return number

    @writes
    def answer(
        self,
        rows: Rows,
        refund_id: str,
        number: int,
        reply: Reply,
        after_seconds: float,
        approval: Approval,
        client: str,
    ) -> Reply:
        """Note an answer to a question; a person's no declines in the same step.

        A program that answered by itself gives no person's answer to that question any more, however
        late it brings the same along again.

        Args:
            refund_id: What was asked about.
            number: Of the question; 0 where it isn't known.
            reply: The answer.
            after_seconds: How long it took.
            approval: What a person's word through this program is, where it is one.
            client: The name and version of the program.

        Returns:
            What the answer is worth.
        """
        kept = rows.connection.execute(
            "SELECT answer FROM question WHERE number = ? AND subject = ?", (number, refund_id)
        ).fetchone()
        before = Reply(kept["answer"]) if kept and kept["answer"] else None
        worth = reply.after(0.0) if before in BY_PROGRAM else reply
        rows.connection.execute(
            "UPDATE question SET answer = ?, answered_after_seconds = ? WHERE number = ? AND subject = ?",
            (worth.value, after_seconds, number, refund_id),
        )
        who = approval.who if worth in BY_PERSON else ""
        detail = f"{worth.value} to question {number}, after {after_seconds:.3f} s"
        rows.note(refund_id, "answered", Actor(client, who), detail)
        if worth is Reply.NO:
            decline(rows, refund_id, approval, client)
        return worth

    @writes
    def note_shown(self, rows: Rows, wish: Wish, actor: Actor) -> None:
        """Note that the preview went to whoever called, after a question that nobody answered."""
        rows.connection.execute(
            "UPDATE question SET shown_since = 1 WHERE subject = ? AND revision = ?",
            (wish.refund_id, wish.revision),
        )
        rows.note(wish.refund_id, "shown", actor)

    @writes
    def note_too_weak(self, rows: Rows, wish: Wish, approval: Approval, client: str) -> None:
        """Note an approval that doesn't suffice: it is no decision."""
        detail = f"revision {wish.revision}: {approval.grade}, and {wish.grade_needed} is needed"
        rows.note(wish.refund_id, "not enough", Actor(client, approval.who), detail)

    @writes
    def decline(self, rows: Rows, refund_id: str, approval: Approval, client: str) -> Wish:
        """A person declined. It reaches the wish, whichever revision they saw.

        What was sent stays what it is. Where no person approved that, the decline is noted all the
        same, and counts for what is wanted next.

        Args:
            refund_id: The wish.
            approval: Who declined, and through what.
            client: The name and version of the program.

        Returns:
            The wish as it stands then.
        """
        return decline(rows, refund_id, approval, client)
