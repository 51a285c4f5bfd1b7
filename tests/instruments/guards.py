"""Takes one guard of the refund desk away at a time, and says which test notices first.

uv run python -m tests.instruments.guards                   all of them: an hour
uv run python -m tests.instruments.guards lock 'second look'
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = Path("server/clawver_orders")
_REFUNDS = (
    "ledger", "ledger_file", "decision", "matching", "settlement", "refusals", "unexplained", "clocks",
    "taking_turns", "declines", "grades", "policy", "customers", "approving", "refunding", "migration",
    "found_by_stories", "failing_ledger", "damage", "order_locks", "races", "ledger_postgres",
    "order_locks_postgres", "interleavings", "ledger_move", "between_machine_and_database",
)  # fmt: skip
TESTS = (
    *(f"tests/refunds/test_{name}.py" for name in _REFUNDS),
    "tests/test_instants.py",
    "tests/serving/test_what_answers_prove.py",
    "tests/tools/test_refunds.py",
    "tests/cli/test_refunds.py",
    "tests/cli/test_pin.py",
    "tests/serving/test_page_link.py",
    "tests/serving/test_card.py",
    "tests/refunds/test_cards.py",
    "tests/web/test_card_adversary.py",
    "tests/web/test_page.py",
    "tests/webhooks/test_changes.py",
    "tests/tools/test_webhook_approvals.py",
    "tests/web/test_webhooks.py",
    "tests/storage/test_postgres.py",
    "tests/clawver/test_request_budget_postgres.py",
    "tests/refunds/test_machine.py",
)
"""Where a guard has to be missed. The stories come last: they take longest."""
FIRST = {
    "refunds/decision.py": "tests/refunds/test_decision.py",
    "refunds/matching.py": "tests/refunds/test_matching.py",
    "refunds/settlement.py": "tests/refunds/test_settlement.py",
    "refunds/gathering.py": "tests/refunds/test_declines.py",
    "refunds/policy.py": "tests/refunds/test_customers.py",
    "refunds/customers.py": "tests/refunds/test_customers.py",
    "refunds/ledger_file.py": "tests/refunds/test_clocks.py",
    "refunds/ledger_move.py": "tests/refunds/test_ledger_move.py",
    "refunds/ledger_rows.py": "tests/refunds/test_taking_turns.py",
    "refunds/ledger_wishes.py": "tests/refunds/test_declines.py",
    "refunds/order_locks.py": "tests/refunds/test_order_locks.py",
    "refunds/order_locks_postgres.py": "tests/refunds/test_order_locks_postgres.py",
    "refunds/outcome.py": "tests/refunds/test_found_by_stories.py",
    "clawver/request_budget.py": "tests/clawver/test_request_budget_postgres.py",
    "instants.py": "tests/test_instants.py",
    "cli/refunds.py": "tests/cli/test_refunds.py",
    "cli/options.py": "tests/cli/test_refunds.py",
    "cli/person.py": "tests/cli/test_refunds.py",
    "refunds/approvals.py": "tests/refunds/test_grades.py",
    "refunds/ledger.py": "tests/refunds/test_grades.py",
    "refunds/ledger_postgres.py": "tests/refunds/test_ledger_postgres.py",
    "storage/postgres.py": "tests/storage/test_postgres.py",
    "storage/postgres_server.py": "tests/storage/test_postgres.py",
    "storage/pin.py": "tests/storage/test_pin.py",
    "web/page.py": "tests/web/test_page.py",
    "web/deciding.py": "tests/web/test_page.py",
    "tools/approving.py": "tests/serving/test_page_link.py",
    "webhooks/changes.py": "tests/webhooks/test_changes.py",
    "webhooks/desk.py": "tests/tools/test_webhook_approvals.py",
    "caller.py": "tests/serving/test_what_answers_prove.py",
    "refunds/cards.py": "tests/serving/test_card.py",
    "tools/cards.py": "tests/serving/test_card.py",
    "serving/card.py": "tests/serving/test_card.py",
    "serving/server.py": "tests/serving/test_card.py",
    "serving/elicitation.py": "tests/serving/test_what_answers_prove.py",
}
"""The tests that are the likeliest to notice, by file: the rest is not run any more."""


@dataclass(frozen=True)
class Guard:
    """Words in a file, and what is left of them without the guard."""

    file: str
    words: str
    without: str


GUARDS = {
    "index of open attempts": Guard(
        "refunds/ledger_schema.py",
        "CREATE UNIQUE INDEX one_open_attempt_per_order",
        "CREATE INDEX one_open_attempt_per_order",
    ),
    "index of claims": Guard(
        "refunds/ledger_schema.py",
        "CREATE UNIQUE INDEX one_attempt_per_clawver_refund",
        "CREATE INDEX one_attempt_per_clawver_refund",
    ),
    "index of open attempts in PostgreSQL": Guard(
        "refunds/ledger_postgres.py",
        "CREATE UNIQUE INDEX one_open_attempt_per_order",
        "CREATE INDEX one_open_attempt_per_order",
    ),
    "index of claims in PostgreSQL": Guard(
        "refunds/ledger_postgres.py",
        "CREATE UNIQUE INDEX one_attempt_per_clawver_refund",
        "CREATE INDEX one_attempt_per_clawver_refund",
    ),
    "tables that are never emptied": Guard(
        "storage/postgres.py",
        '{refusing}"""',
        '"""',
    ),
    "one writer at a time in PostgreSQL": Guard(
        "storage/postgres.py",
        "UPDATE store SET seq = seq + 1 RETURNING seq, version),",
        "SELECT seq + 1 AS seq, version FROM store),",
    ),
    "writer that sees what those before it wrote": Guard(
        "storage/postgres.py",
        '_WRITING = "READ COMMITTED READ WRITE"',
        '_WRITING = "REPEATABLE READ READ WRITE"',
    ),
    "commit that is in doubt": Guard(
        "storage/postgres.py",
        "if lost is not None and not self._was_kept(seq, token, lost):",
        "if False:",
    ),
    "look that waits for the commit in doubt": Guard(
        "storage/postgres.py",
        "                    self._begin(inner, _WRITING)\n",
        "                    self._begin(inner, _READING)\n",
    ),
    "commit that was none": Guard(
        "storage/postgres.py",
        'if became != "COMMIT":',
        "if not became:",
    ),
    "warning at a commit": Guard(
        "storage/postgres.py",
        'if "WARNING" in said:',
        "if False:",
    ),
    "standbys of a commit in doubt": Guard(
        "storage/postgres.py",
        "                        _commit(inner)  # it waits for",
        "                        pass  # it waits for",
    ),
    "temporary tables": Guard(
        "storage/postgres.py",
        "SET LOCAL search_path TO {schema}, pg_temp;\nSET LOCAL lock_timeout",
        "SET LOCAL search_path TO {schema};\nSET LOCAL lock_timeout",
    ),
    "decline that would not be moved": Guard(
        "refunds/ledger_move.py",
        "            raise _DeclinedError",
        "            pass",
    ),
    "yes that was moved": Guard(
        "refunds/ledger_move.py",
        'if lines and row["verdict"] == "approve":',
        "if False:",
    ),
    "end of all waiting": Guard(
        "storage/postgres_server.py",
        "        timer.start()\n",
        "",
    ),
    "decision before an attempt": Guard(
        "refunds/ledger_schema.py",
        "WHEN NEW.status <> 'sending' OR NOT EXISTS (",
        "WHEN NEW.status <> 'sending' AND NOT EXISTS (",
    ),
    "grade of that decision": Guard(
        "refunds/ledger_schema.py",
        ' AND {rank("grade")} >= {rank("grade_needed")})',
        ")",
    ),
    "revision of a decision": Guard(
        "refunds/ledger_schema.py",
        "WHEN NEW.revision IS NOT (SELECT revision FROM wish WHERE refund_id = NEW.subject)",
        "WHEN FALSE",
    ),
    "what may follow": Guard(
        "refunds/ledger_schema.py",
        "WHEN NEW.status <> OLD.status AND NOT ({_MOVES})",
        "WHEN NEW.status <> OLD.status AND FALSE AND NOT ({_MOVES})",
    ),
    "claims that are kept": Guard(
        "refunds/ledger_schema.py",
        "WHEN OLD.clawver_refund_id IS NOT NULL OR EXISTS (",
        "WHEN FALSE AND EXISTS (",
    ),
    "attempts that are not replaced": Guard(
        "refunds/ledger_schema.py",
        "WHEN EXISTS (SELECT 1 FROM attempt WHERE id = NEW.id\n",
        "WHEN FALSE AND EXISTS (SELECT 1 FROM attempt WHERE id = NEW.id\n",
    ),
    "decisions that are final": Guard(
        "refunds/ledger_schema.py",
        "WHEN EXISTS (SELECT 1 FROM decision WHERE (subject, revision) = (NEW.subject, NEW.revision))",
        "WHEN FALSE",
    ),
    "revision of what is shown": Guard(
        "refunds/ledger_schema.py",
        "WHEN NEW.revision < OLD.revision OR (NEW.revision = OLD.revision\n",
        "WHEN FALSE AND (NEW.revision = OLD.revision\n",
    ),
    "number of the order's history": Guard(
        "refunds/ledger_wishes.py",
        "    if last != number:\n",
        "    if False:\n",
    ),
    "revision that is current": Guard(
        "refunds/ledger.py",
        'if (current.revision, current.status) != (wish.revision, "waiting"):',
        "if False:",
    ),
    "daily limit in the transaction": Guard(
        "refunds/ledger.py",
        "if spent + wish.amount_in_cents > limits.daily_in_cents:",
        "if False:",
    ),
    "daily limit": Guard(
        "refunds/decision.py",
        "if case.spent_in_cents + case.amount_in_cents > case.daily_limit_in_cents:",
        "if False:",
    ),
    "refusals in the daily limit": Guard(
        "refunds/ledger_rows.py",
        "OR (status = 'refused' AND reads_after_window = 0))",
        "OR FALSE)",
    ),
    "daily limit by uptime": Guard(
        "instants.py",
        "    if _is_one_start(then, now):\n        return now.uptime - then.uptime\n    by_clock = (now.at - then.at).total_seconds()\n    return max(by_clock, uptime",
        "    by_clock = (now.at - then.at).total_seconds()\n    return max(by_clock, uptime",
    ),
    "daily limit of another start": Guard(
        "refunds/ledger_rows.py",
        "sent_at > ? OR order_id",
        "(? IS NULL AND FALSE) OR order_id",
    ),
    "daily limit of a clock that went ahead": Guard(
        "refunds/ledger_rows.py",
        "OR (sent_boot = ? AND sent_uptime > ?))",
        "OR (sent_boot = ? AND sent_uptime > ? AND FALSE))",
    ),
    "sends in the future of the clock": Guard(
        "instants.py",
        "return max(by_clock, uptime_passed(first_look.uptime, now.uptime))",
        "return by_clock",
    ),
    "lock": Guard(
        "refunds/order_locks.py",
        "while not _taken(lock):",
        "while False:",
    ),
    "standstill before the request": Guard(
        "refunds/order_locks.py",
        " and seconds_since_boot() - since <= LONGEST_STANDSTILL_SECONDS",
        "",
    ),
    "lock that is asked before the request": Guard(
        "refunds/order_locks.py",
        "    is_held = await locks.still_held(order_id)\n",
        "    is_held = True\n",
    ),
    "lock in PostgreSQL": Guard(
        "refunds/order_locks_postgres.py",
        "            return _only(connection, self._key(order_id))\n",
        "            return _only(connection, self._key(order_id)) or True\n",
    ),
    "lock in PostgreSQL that was lost": Guard(
        "refunds/order_locks_postgres.py",
        "        return await to_thread.run_sync(self._is_there, order_id)\n",
        "        return True\n",
    ),
    "allowance of a server that hears of the time late": Guard(
        "clawver/request_budget.py",
        "            (now - DAY_SECONDS, now + _LATE_SECONDS),\n",
        "            (now - DAY_SECONDS, now),\n",
    ),
    "check before the request": Guard(
        "refunds/settlement.py",
        "                await check_still_alone(self._locks, wish.order_id, since)\n",
        "",
    ),
    "shield": Guard(
        "refunds/settlement.py",
        "CancelScope(shield=True)",
        "CancelScope()",
    ),
    "refunds before": Guard(
        "refunds/matching.py",
        " if refund.id not in attempt.refunds_before]\n\n\ndef claimed",
        "]\n\n\ndef claimed",
    ),
    "repeat check": Guard(
        "refunds/decision.py",
        "if case.earlier.is_repeated_by(case.named):",
        "if False:",
    ),
    "open refund": Guard(
        "refunds/decision.py",
        "if case.in_flight is not None:",
        "if False:",
    ),
    "verification window": Guard(
        "refunds/settlement.py",
        "if not self._is_window_over(attempt, records, now):",
        "if False:",
    ),
    "second look": Guard(
        "refunds/ledger.py",
        "READS_TO_BELIEVE = 2",
        "READS_TO_BELIEVE = 1",
    ),
    "pause between looks": Guard(
        "refunds/settlement.py",
        "return last is None or seconds_at_least(last, now, look) >= self._between_reads_in_seconds",
        "return True",
    ),
    "claims of others": Guard(
        "refunds/settlement.py",
        "        if refund.id not in others and refund.amount_in_cents",
        "        if refund.amount_in_cents",
    ),
    "reads after a refusal": Guard(
        "refunds/settlement.py",
        "if refusal is not None and evidence.unchanged_reads >= READS_TO_BELIEVE:\n            kept",
        "if refusal is not None:\n            kept",
    ),
    "person while a refusal may take effect": Guard(
        "refunds/matching.py",
        'return "refused" if attempt.is_provisional and left > 0 else None, left',
        "return None, 0.0",
    ),
    "refusal that lands": Guard(
        "refunds/records.py",
        '    "refused": ("refunded",),\n',
        '    "refused": (),\n',
    ),
    "fact of a refusal": Guard(
        "refunds/outcome.py",
        "    if not retry_after_seconds:\n",
        "    if True:\n",
    ),
    "fact of a preview after a refusal": Guard(
        "refunds/outcome.py",
        "return NO_MONEY_MOVED if wish is None or not wish.is_provisional else NOT_LISTED_SO_FAR",
        "return NO_MONEY_MOVED",
    ),
    "person after not_recorded": Guard(
        "refunds/matching.py",
        '        return "not_recorded", 0.0\n',
        "        return None, 0.0\n",
    ),
    "person after resolve": Guard(
        "refunds/matching.py",
        '        return "resolved", 0.0\n',
        "        return None, 0.0\n",
    ),
    "person after a decline": Guard(
        "refunds/matching.py",
        "            if is_often or decision.number > own_yes\n",
        "            if False\n",
    ),
    "person after two declines": Guard(
        "refunds/matching.py",
        "            if is_often or decision.number > own_yes\n",
        "            if decision.number > own_yes\n",
    ),
    "person after a restore": Guard(
        "refunds/matching.py",
        "if left > 0 else []\n    is_often",
        "if False else []\n    is_often",
    ),
    "mark of a restore": Guard(
        "refunds/ledger_file.py",
        "            if is_older:\n                rows.note",
        "            if False:\n                rows.note",
    ),
    "restore that is only read": Guard(
        "refunds/ledger_file.py",
        "is_noted = not self.exists or (rows.is_all_seen() and not is_older)",
        "is_noted = not self.exists or rows.is_all_seen()",
    ),
    "restore that cannot be noted": Guard(
        "refunds/ledger.py",
        "return rows.order(order_id, rows.now if rows.is_older else None)",
        "return rows.order(order_id, None)",
    ),
    "line that another one has the place of": Guard(
        "refunds/ledger_file.py",
        'return number > last or (digest != found and "" not in {digest, found})',
        "return number > last",
    ),
    "new refunds that nothing explains": Guard(
        "refunds/settlement.py",
        "is_explained = not unexplained(attempt, records, order)",
        "is_explained = True",
    ),
    "reason of a refund": Guard(
        "refunds/matching.py",
        "if told and told != sent and not is_cut:",
        "if False:",
    ),
    "time of a refund": Guard(
        "refunds/matching.py",
        "return _is_near(refund, attempt.sent_by_server or attempt.sent.at)",
        "return True",
    ),
    "amount of a refund": Guard(
        "refunds/matching.py",
        "if refund.amount_in_cents != attempt.amount_in_cents:\n        return False",
        "if False:\n        return False",
    ),
    "evidence of all answers": Guard(
        "refunds/settlement.py",
        "for refund in (*self.refunds, *(order.refunds or ()))}",
        "for refund in order.refunds or ()}",
    ),
    "what was seen": Guard(
        "refunds/matching.py",
        'return order.model_copy(update={"refunds": (order.refunds or ()) + older}) if older else order',
        "return order",
    ),
    "order that lists no refunds": Guard(
        "refunds/matching.py",
        "    if not order.lists_its_refunds:\n        return order\n",
        "    if False:\n        return order\n",
    ),
    "refunds that nobody meant": Guard(
        "refunds/matching.py",
        "        if attempt is _latest_that_made(refund, same, order)\n",
        "        if False\n",
    ),
    "late ones that nobody meant": Guard(
        "refunds/matching.py",
        "    return late | {\n        refund.id",
        "    return {\n        refund.id",
    ),
    "other starts": Guard(
        "instants.py",
        'return then.boot == now.boot != "" and now.uptime >= then.uptime',
        "return now.uptime >= then.uptime",
    ),
    "clock of another start": Guard(
        "instants.py",
        "return passed if by_clock < 0 else min(passed, by_clock)",
        "return passed",
    ),
    "first look": Guard(
        "instants.py",
        "return passed if by_clock < 0 else min(passed, by_clock)",
        "return max(by_clock, 0.0)",
    ),
    "look at what others wrote since": Guard(
        "refunds/ledger_rows.py",
        "if covered == last and uptime <= self.now.uptime:",
        "if covered is not None and uptime <= self.now.uptime:",
    ),
    "look after a restart without a name": Guard(
        "refunds/ledger_rows.py",
        "if covered == last and uptime <= self.now.uptime:",
        "if covered == last:",
    ),
    "look that covers the line": Guard(
        "refunds/records.py",
        "for covered, at in self.seen if covered >= number), now)",
        "for _, at in self.seen), now)",
    ),
    "line that no look covers": Guard(
        "refunds/records.py",
        "for covered, at in self.seen if covered >= number), now)",
        "for covered, at in self.seen[::-1]), now)",
    ),
    "looks of this start alone": Guard(
        "refunds/ledger_rows.py",
        '"SELECT number, at, uptime FROM look WHERE boot = ? AND number IN ("',
        '"SELECT number, at, uptime FROM look WHERE boot <> ? AND number IN ("',
    ),
    "look that covers lines of this start": Guard(
        "refunds/ledger_rows.py",
        '"UPDATE look SET number = (SELECT number FROM last_line) WHERE boot = ?"',
        '"UPDATE look SET number = number WHERE boot = ?"',
    ),
    "newest of the old looks": Guard(
        "refunds/ledger_rows.py",
        "(SELECT MAX(number) FROM look WHERE boot = ? AND uptime <= ?))",
        "(SELECT MAX(number) + 1 FROM look WHERE boot = ? AND uptime <= ?))",
    ),
    "line with which it was sent": Guard(
        "refunds/settlement.py",
        "look = records.looks.first(attempt.sent_number, now)",
        "look = records.looks.first(records.number, now)",
    ),
    "line of the last read": Guard(
        "refunds/settlement.py",
        "last, look = attempt.last_read, records.looks.first(records.number, now)",
        "last, look = attempt.last_read, records.looks.first(attempt.sent_number, now)",
    ),
    "line with which a restore was noticed": Guard(
        "refunds/matching.py",
        "look = records.looks.first(records.restored_number, now)",
        "look = records.looks.first(0, now)",
    ),
    "line of a refusal": Guard(
        "refunds/matching.py",
        "look = records.looks.first(attempt.sent_number, now)",
        "look = attempt.sent",
    ),
    "line of a decline": Guard(
        "refunds/matching.py",
        "records.looks.first(decision.number, now)",
        "now",
    ),
    "line of what was sent in a day": Guard(
        "refunds/ledger_rows.py",
        "looks.first(attempt.sent_number, now))",
        "now)",
    ),
    "line of what was sent to a customer": Guard(
        "refunds/customers.py",
        "looks.first(each.sent_number, now)",
        "now",
    ),
    "decline of this very refund": Guard(
        "refunds/gathering.py",
        "declined=None if _decides(caller) else self._declined(wish, records)",
        "declined=None",
    ),
    "person who reopens": Guard(
        "refunds/gathering.py",
        'return caller.is_person and suffices(caller.grade, "chat")',
        "return caller.is_person",
    ),
    "two declines": Guard(
        "refunds/decision.py",
        "        and not case.only_terminal_asks\n",
        "",
    ),
    "form that isn't enough": Guard(
        "refunds/decision.py",
        "        and suffices(case.grade, case.wish.grade_needed)\n",
        "",
    ),
    "further refund": Guard(
        "refunds/approvals.py",
        'if floor == "agent" and (doubts or is_further):',
        'if floor == "agent" and doubts:',
    ),
    "PIN limit": Guard(
        "refunds/gathering.py",
        "return sent + wanted.amount_in_cents > limit",
        "return wanted.amount_in_cents > limit",
    ),
    "PIN limit in the transaction": Guard(
        "refunds/ledger.py",
        "if without_pin > limits.pin_above_in_cents:",
        "if False:",
    ),
    "approval outside the policy": Guard(
        "refunds/gathering.py",
        "outside_policy=None if judged is None else judged.needs,",
        "outside_policy=None,",
    ),
    "refunds of a customer that count": Guard(
        "refunds/policy.py",
        "    if with_it > limit.count:\n",
        "    if False:\n",
    ),
    "customers that can't be counted": Guard(
        "refunds/policy.py",
        "    if customer.unknown:\n",
        "    if False:\n",
    ),
    "refunds of a customer that were sent from here": Guard(
        "refunds/customers.py",
        " | _sent(ledger, [each.id for each in orders], days)",
        "",
    ),
    "refunds of a customer that came since": Guard(
        "refunds/approvals.py",
        ", *verdict.numbers",
        "",
    ),
    "what the policy forbids": Guard(
        "refunds/decision.py",
        "    if case.forbidden is not None:\n        return Refused(case.forbidden)\n",
        "",
    ),
    "rules that changed": Guard(
        "refunds/approvals.py",
        "*([] if verdict is None else [[verdict.digest, *verdict.rules, *verdict.numbers]]),",
        "",
    ),
    "PIN in the terminal": Guard(
        "cli/person.py",
        "            self._type_pin()\n",
        "",
    ),
    "PIN on the page": Guard(
        "web/page.py",
        "        problem = await wrong_pin(self._store.pin, typed, wish.grade_needed)\n        if problem:",
        "        problem = await wrong_pin(self._store.pin, typed, wish.grade_needed)\n        if problem and not typed:",
    ),
    "revision on the page": Guard(
        "web/deciding.py",
        "return (question.about, question.revision) == (self.refund_id, self.revision)",
        "return question.about == self.refund_id",
    ),
    "tries of the PIN": Guard(
        "storage/pin.py",
        "            self._count(rows, has_session, wrong + 1)\n",
        "",
    ),
    "page that a host opened": Guard(
        "tools/approving.py",
        '    if suffices("agent", wish.grade_needed):\n        return outcome\n    return replace',
        "    return replace",
    ),
    "PIN limit of an order": Guard(
        "refunds/ledger_rows.py",
        "            if attempt.order_id == order_id\n            or ",
        "            if ",
    ),
    "decline of another revision": Guard(
        "refunds/ledger_wishes.py",
        '    if current is not None:\n        rows.connection.execute(\n            "UPDATE wish SET revision',
        '    if False:\n        rows.connection.execute(\n            "UPDATE wish SET revision',
    ),
    "decline of what a program approved": Guard(
        "refunds/ledger_wishes.py",
        "    if by_person and wish.status in",
        "    if wish.status in",
    ),
    "decline after a person's approval": Guard(
        "refunds/ledger_wishes.py",
        "    if by_person and wish.status in",
        "    if False and wish.status in",
    ),
    "grade that is needed": Guard(
        "refunds/decision.py",
        "    if not suffices(grade, case.wish.grade_needed):\n",
        "    if False:\n",
    ),
    "agent where a person is needed": Guard(
        "refunds/decision.py",
        '    if not suffices("agent", case.wish.grade_needed):\n',
        "    if False:\n",
    ),
    "terminal without a person": Guard(
        "cli/options.py",
        "return is_terminal(sys.stdin) and is_terminal(sys.stdout)",
        "return True",
    ),
    "terminal with --yes": Guard(
        "cli/person.py",
        "return not self.yes and somebody_is_there()",
        "return somebody_is_there()",
    ),
    "terminal that resolves": Guard(
        "cli/refunds.py",
        "    if not somebody_is_there():\n        stop(",
        "    if False:\n        stop(",
    ),
    "revision that was confirmed": Guard(
        "refunds/gathering.py",
        "if shown is None or not wanted.confirmed_revision == shown.revision == wish.revision:",
        "if shown is None or wanted.confirmed_revision is None:",
    ),
    "revision that was named": Guard(
        "refunds/decision.py",
        "(case.named_other_revision and not case.can_ask)",
        "False",
    ),
    "lifetime of a preview": Guard(
        "refunds/gathering.py",
        "return age < LIFETIME.total_seconds()",
        "return True",
    ),
    "lifetime of a question": Guard(
        "refunds/gathering.py",
        "        and seconds_at_most(question.asked, now) < lifetime.total_seconds()\n",
        "",
    ),
    "preview after silence": Guard(
        "refunds/decision.py",
        "if case.stands in {Asking.OPEN, Asking.UNANSWERED}:",
        "if False:",
    ),
    "question that is open": Guard(
        "refunds/decision.py",
        'return Send("agent") if other is None else Wait(other)',
        'return Send("agent")',
    ),
    "question about the same amount": Guard(
        "refunds/decision.py",
        "    if case.asked_elsewhere is not None:\n        return About",
        "    if False:\n        return About",
    ),
    "answer to another question": Guard(
        "refunds/gathering.py",
        "        question.number == heard.number\n",
        "        True\n",
    ),
    "answers of the host itself": Guard(
        "caller.py",
        "if seconds >= A_PERSON_TAKES_SECONDS or",
        "if True or",
    ),
    "unclear answers": Guard(
        "serving/elicitation.py",
        "return Reply.NO if is_no else Reply.UNCLEAR",
        "return Reply.NO if is_no else Reply.FAILED",
    ),
    "approval of a webhook": Guard(
        "webhooks/changes.py",
        "WHEN NEW.progress <> 'begun' OR NOT EXISTS (",
        "WHEN NEW.progress <> 'begun' AND NOT EXISTS (",
    ),
    "grade of a webhook's approval": Guard(
        "webhooks/changes.py",
        """\n        AND {rank("grade")} >= {rank("grade_needed")})""",
        ")",
    ),
    "decline of a webhook": Guard(
        "webhooks/desk.py",
        '    if change.status == "declined" and change.wanted.action == "register":',
        "    if False:",
    ),
    "webhook that is being made": Guard(
        "webhooks/desk.py",
        '    if change.status == "begun":\n        raise',
        "    if False:\n        raise",
    ),
    "revision of a webhook's answer": Guard(
        "webhooks/desk.py",
        "            heard = None  # it was about something else\n",
        "            pass\n",
    ),
    "setting of the process that approves a webhook": Guard(
        "webhooks/desk.py",
        "return max(change.grade_needed, self._floor, key=GRADES.index)",
        "return change.grade_needed",
    ),
    "noes that are no box": Guard(
        "serving/elicitation.py",
        "isinstance(chosen, str) and word in _NO\n",
        "False\n",
    ),
    "nonce of a click": Guard(
        "refunds/ledger_wishes.py",
        "AND revision = ? AND nonce_digest = ? RETURNING number",
        "AND revision = ? AND ? <> '' RETURNING number",
    ),
    "nonce that is used up": Guard(
        "refunds/ledger_wishes.py",
        '"UPDATE question SET nonce_digest = NULL"',
        '"UPDATE question SET nonce_digest = nonce_digest"',
    ),
    "revision of a click": Guard(
        "refunds/ledger_wishes.py",
        "if wish is None or wish.revision != revision:",
        "if wish is None:",
    ),
    "refund of a nonce": Guard(
        "refunds/ledger_wishes.py",
        "WHERE subject = ? AND revision = ? AND nonce_digest = ?",
        "WHERE ? <> '' AND revision = ? AND nonce_digest = ?",
    ),
    "digest of the nonce": Guard(
        "refunds/ledger_wishes.py",
        "return sha256(nonce.encode()).hexdigest()",
        "return nonce",
    ),
    "grade of a card": Guard(
        "refunds/approvals.py",
        'return suffices("chat", wish.grade_needed) and not by_itself',
        "return not by_itself",
    ),
    "program that clicked by itself": Guard(
        "refunds/approvals.py",
        'return suffices("chat", wish.grade_needed) and not by_itself',
        'return suffices("chat", wish.grade_needed)',
    ),
    "card after two declines": Guard(
        "refunds/cards.py",
        "may_click = takes_click(wish) and not is_declined_often(records, self._ledger.now())",
        "may_click = takes_click(wish)",
    ),
    "second before a click": Guard(
        "tools/cards.py",
        "return self.reply.after(self.answered_after_seconds)",
        "return self.reply",
    ),
    "clients that show cards": Guard(
        "serving/server.py",
        "return offer.now.with_cards if has_cards(context) else offer.now.tools",
        "return offer.now.with_cards",
    ),
    "visibility of the card's tool": Guard(
        "serving/card.py",
        '"visibility": ["app"]',
        '"visibility": ["model", "app"]',
    ),
    "nonce for the card alone": Guard(
        "tools/approving.py",
        'caller.card["nonce"] = outcome.nonce',
        'caller.card["nonce"] = outcome.wish.refund_id',
    ),
}
"""What keeps a refund from happening twice, or from getting lost."""


def without(guard: Guard) -> str:
    """The source of a file without one of its guards.

    Raises:
        ValueError: The words are not there, or more than once: this table is out of date.
    """
    source = (ROOT / PACKAGE / guard.file).read_text("utf-8")
    if source.count(guard.words) != 1:
        raise ValueError(f"{guard.file} must hold this once: {guard.words}")
    return source.replace(guard.words, guard.without)


def noticed(copy: Path, guard: Guard) -> str | None:
    """The first test that fails in a copy of the tree without this guard."""
    target = copy / PACKAGE / guard.file
    whole = target.read_text("utf-8")
    target.write_text(without(guard), "utf-8")
    environment = os.environ | {"PYTHONPATH": str(copy / "server"), "MACHINE_SHRINKS": "no"}
    likeliest = FIRST.get(guard.file, TESTS[0])
    try:
        for part in (likeliest, *(each for each in TESTS if each != likeliest)):
            told = subprocess.run(
                [
                    sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-m", "not long and not clients",
                    "-p", "no:cacheprovider", "-rfE", part,
                ],
                cwd=copy, env=environment, check=False, capture_output=True, text=True,
            )  # fmt: skip
            if found := re.search(r"^(?:FAILED|ERROR) tests/(\S+)", told.stdout, re.MULTILINE):
                return found[1]
    finally:
        target.write_text(whole, "utf-8")
    return None


def main() -> int:
    """Try each guard; fail where one can go unnoticed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("guards", nargs="*", metavar="guard", help=", ".join(GUARDS))
    chosen = parser.parse_args().guards or list(GUARDS)
    unnoticed = 0
    with tempfile.TemporaryDirectory(prefix="guards-of-clawver-orders-") as folder:
        Path(folder).chmod(0o755)  # some tests work as a user without privileges
        skipped = shutil.ignore_patterns(".git", ".venv", ".*cache", "__pycache__", ".coverage*")
        copy = shutil.copytree(ROOT, Path(folder) / "copy", ignore=skipped)
        for name in chosen:
            test = noticed(copy, GUARDS[name])
            unnoticed += test is None
            print(f"without the {name}: {test or 'NOTHING FAILS'}", flush=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
