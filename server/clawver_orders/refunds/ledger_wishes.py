"""The part of the ledger in which nothing is sent: what is wanted, what a person is asked and says."""

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from clawver_orders.caller import BY_PERSON, BY_PROGRAM, Approval, Reply, Verdict, suffices
from clawver_orders.refunds.ledger_file import LedgerFile, reads, writes
from clawver_orders.refunds.ledger_rows import Rows
from clawver_orders.refunds.records import (
    CARD,
    MAY_HAVE_MOVED,
    Actor,
    Asked,
    OrderRecords,
    Preview,
    Wish,
)
from clawver_orders.storage.sql import as_text

_NONCE_BYTES = 24


def _digest(nonce: str) -> str:
    """What is kept of a nonce. It has too many values for anybody to try, so nothing slower is needed."""
    return sha256(nonce.encode()).hexdigest()


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
        "INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (wish.refund_id, wish.revision, verdict, approval.grade, approval.channel, approval.who,
         client, as_text(rows.now), question, number, approval.policy),
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


def _noted(rows: Rows, order_id: str, refund_id: str) -> tuple[OrderRecords, Wish]:
    """The records of an order, and a wish, with what this transaction noted of them."""
    rows.cover_own()
    return rows.order(order_id, None), known(rows, refund_id)


class Wishes(LedgerFile):
    """What somebody wants, and what a person says to it."""

    # What somebody wants, and what a person says to it.

    @reads
    def refunded_between(self, rows: Rows, since: datetime, until: datetime) -> tuple[Wish, ...]:
        """The wishes that were refunded by a request of this span, newest first."""
        sent = "SELECT refund_id FROM attempt WHERE sent_at BETWEEN ? AND ? AND status = 'refunded'"
        return rows.wishes(
            f"WHERE refund_id IN ({sent}) ORDER BY number + 0 DESC",
            since.timestamp(),
            until.timestamp(),
        )

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
            in_addition_to: The earlier refunds and attempts that it is a further one to.
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
        now, at = as_text(rows.now), rows.now.at.timestamp()
        if not found:
            refund_id = f"rfi_{secrets.token_hex(8)}"
            rows.connection.execute(
                "INSERT INTO wish (refund_id, order_id, amount_in_cents, in_addition_to, sandbox, reason,"
                " revision, grade_needed, shown, created_at, previewed, previewed_at, number)"
                " SELECT ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, COALESCE(MAX(number), 0) + 1 FROM wish",
                (refund_id, *key, reason, preview.grade_needed, preview.shown, at, now, at),
            )  # fmt: skip
            rows.note(refund_id, "waiting", actor)
            return _noted(rows, order_id, refund_id)
        wish = found[0]
        if wish.status in MAY_HAVE_MOVED:
            raise MovedOnError
        shown = (wish.status, wish.shown, wish.grade_needed)
        is_new = shown != ("waiting", preview.shown, preview.grade_needed)
        is_new |= reason != wish.reason and bool(wish.questions)  # they were asked with that reason
        rows.connection.execute(
            "UPDATE wish SET revision = ?, reason = ?, grade_needed = ?, shown = ?, previewed = ?,"
            " previewed_at = ? WHERE refund_id = ?",
            (wish.revision + is_new, reason, preview.grade_needed, preview.shown, now, at, wish.refund_id),
        )  # fmt: skip
        if is_new:
            rows.note(wish.refund_id, "waiting", actor, f"revision {wish.revision + 1}")
        elif reason != wish.reason:
            rows.note(wish.refund_id, "reworded", actor)
        return _noted(rows, order_id, wish.refund_id)

    @writes
    def ask(self, rows: Rows, wish: Wish, channel: str, actor: Actor) -> int:
        """Note that a person is asked about the current revision, and return the question's number.

        Raises:
            MovedOnError: Another revision is current by now.
        """
        current = known(rows, wish.refund_id)
        if (current.revision, current.status) != (wish.revision, "waiting"):
            raise MovedOnError
        [(number,)] = rows.connection.execute(
            "INSERT INTO question (subject, revision, channel, client, asked) VALUES (?, ?, ?, ?, ?)"
            " RETURNING number",
            (wish.refund_id, wish.revision, channel, actor.client, as_text(rows.now)),
        ).fetchall()
        rows.note(wish.refund_id, "asked", actor, f"question {number}, revision {wish.revision}")
        return int(number)

    @writes
    def show_card(self, rows: Rows, wish: Wish, actor: Actor) -> str:
        """Note that a card shows the current revision, and return the nonce that its click has to bring.

        Only its digest is kept, and the nonces of earlier cards count no more.

        Raises:
            MovedOnError: Another revision is current by now, or it doesn't wait.
        """
        current = known(rows, wish.refund_id)
        if (current.revision, current.status) != (wish.revision, "waiting"):
            raise MovedOnError
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        shown = next((each for each in current.cards if each.answer is None), None)
        if shown is None:
            rows.connection.execute(
                "INSERT INTO question (subject, revision, channel, client, asked, nonce_digest)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (wish.refund_id, wish.revision, CARD, actor.client, as_text(rows.now), _digest(nonce)),
            )  # fmt: skip
            rows.note(wish.refund_id, "asked", actor, f"on the card, revision {wish.revision}")
        else:  # shown again: one question, and one line of history
            rows.connection.execute(
                "UPDATE question SET client = ?, asked = ?, nonce_digest = ? WHERE number = ?",
                (actor.client, as_text(rows.now), _digest(nonce), shown.number),
            )
        return nonce

    @writes
    def take_click(self, rows: Rows, refund_id: str, revision: int, nonce: str) -> Asked | None:
        """Use up the nonce of a card.

        Args:
            refund_id: The wish.
            revision: The revision that the card showed.
            nonce: What the card was given.

        Returns:
            The question that the click answers; None where that nonce isn't the newest one of this
            revision, was used before, or another revision is current.
        """
        wish = rows.wish(refund_id)
        if wish is None or wish.revision != revision:
            return None
        used = rows.connection.execute(
            "UPDATE question SET nonce_digest = NULL"
            " WHERE subject = ? AND revision = ? AND nonce_digest = ? RETURNING number",
            (wish.refund_id, revision, _digest(nonce)),
        ).fetchone()
        if used is None:
            return None
        return next(each for each in wish.cards if each.number == used["number"])

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
        """Note an answer to a question; a person's decline is noted in the same step.

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
