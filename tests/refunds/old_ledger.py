"""Ledgers as earlier versions of this program left them behind."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

from tests.refunds.book import START

from clawver_orders.refunds.ledger_schema import SCHEMA

State = Literal[
    "previewed", "sending", "confirmed", "failed", "unknown", "absent", "declined", "expired"
]
WHO = "person by elicitation"
BEFORE: dict[State, tuple[State, ...]] = {
    "previewed": (), "sending": ("sending",), "confirmed": ("sending", "confirmed"),
    "failed": ("sending", "failed"), "unknown": ("sending", "unknown"),
    "absent": ("sending", "unknown", "absent"), "declined": ("declined",), "expired": ("expired",),
}  # fmt: skip
"""What every state had come through after its preview."""


class OldLedger:
    """The file of a version, filled as that version did.

    Args:
        path: Where it will be.
        version: 1, or 2 with sandboxes and refunds that were seen.
    """

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self.version = version
        self.count = 0
        path.parent.mkdir(mode=0o700, parents=True)
        path.touch(0o600)
        path.with_suffix(".made").touch(0o600)
        with closing(self.open()) as made:
            made.executescript("".join(SCHEMA.steps[:version]))
            made.execute(f"PRAGMA application_id = {SCHEMA.application_id}")
            made.execute(f"PRAGMA user_version = {version}")

    def open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None)

    def has(self, order_id: str, state: State, cents: int = 500, reason: str = "Torn",
            named: Sequence[str] = (), why: str = "", who: str = WHO, needs_person: bool = False,
            days_ago: float = 0.0, sandbox: str = "", surplus: Sequence[str] = (),
            is_noted: bool = True) -> str:  # fmt: skip
        """Note an intent in this state, and return its id."""
        self.count += 1
        refund_id = f"rfi_{self.count:016x}"
        at = START.timestamp() - days_ago * 86_400 - 600 + self.count
        sent = state not in {"previewed", "declined", "expired"}
        row: dict[str, object] = {
            "refund_id": refund_id, "order_id": order_id, "amount_in_cents": cents, "reason": reason,
            "in_addition_to": json.dumps(sorted(named)), "seen": '["paid"]',
            "needs_person": int(needs_person), "state": state, "created_at": at,
            "expires_at": at + 900, "surplus": json.dumps(list(surplus)),
        }  # fmt: skip
        if sent:
            row |= {"baseline": '["ref_0"]', "sent_at": at + 5, "sent_uptime": 9e6}
        if state == "confirmed":
            row |= {"clawver_refund_id": f"ref_{self.count}", "stripe_refund_id": "re_1"}
        if state in {"unknown", "absent"}:
            row |= {"absent_reads": 1 + (state == "absent"), "absent_uptime": 9e6 + 1000}
        if self.version > 1:
            row["sandbox"] = sandbox
        with closing(self.open()) as connection:
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            work = f"INSERT INTO intent ({names}) VALUES ({marks})"  # noqa: S608  # words of this test
            connection.execute(work, tuple(row.values()))
        if not is_noted:
            return refund_id
        self.note(refund_id, "previewed", "previewed", at, who="")
        for step in BEFORE[state]:
            self.note(refund_id, step, step, at + 5, who=who, detail=why if step == state else "")
        return refund_id

    def note(self, refund_id: str, event: str, state: State, at: float, who: str = WHO,
             detail: str = "") -> None:  # fmt: skip
        with closing(self.open()) as connection:
            connection.execute(
                "INSERT INTO history (refund_id, at, process, event, state, who, client, detail)"
                " VALUES (?, ?, 77, ?, ?, ?, 'host 1', ?)",
                (refund_id, at, event, state, who, detail),
            )

    def dump(self) -> list[str]:
        with closing(self.open()) as connection:
            return list(connection.iterdump())
