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
    "declines", "approving", "refunding", "migration", "found_by_stories", "failing_ledger", "damage",
    "order_locks", "races",
)  # fmt: skip
TESTS = (
    *(f"tests/refunds/test_{name}.py" for name in _REFUNDS),
    "tests/test_instants.py",
    "tests/serving/test_what_answers_prove.py",
    "tests/tools/test_refunds.py",
    "tests/cli/test_refunds.py",
    "tests/refunds/test_machine.py",
)
"""Where a guard has to be missed. The stories come last: they take longest."""
FIRST = {
    "refunds/decision.py": "tests/refunds/test_decision.py",
    "refunds/matching.py": "tests/refunds/test_matching.py",
    "refunds/settlement.py": "tests/refunds/test_settlement.py",
    "refunds/gathering.py": "tests/refunds/test_declines.py",
    "refunds/ledger_file.py": "tests/refunds/test_clocks.py",
    "refunds/ledger_rows.py": "tests/refunds/test_clocks.py",
    "refunds/ledger_wishes.py": "tests/refunds/test_declines.py",
    "refunds/order_locks.py": "tests/refunds/test_order_locks.py",
    "refunds/outcome.py": "tests/refunds/test_found_by_stories.py",
    "instants.py": "tests/test_instants.py",
    "cli/refunds.py": "tests/cli/test_refunds.py",
    "caller.py": "tests/serving/test_what_answers_prove.py",
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
    "decision before an attempt": Guard(
        "refunds/ledger_schema.py",
        "WHEN NEW.status <> 'sending' OR NOT EXISTS (",
        "WHEN NEW.status <> 'sending' AND NOT EXISTS (",
    ),
    "grade of that decision": Guard(
        "refunds/ledger_schema.py",
        ' AND {_rank("grade")} >= {_rank("grade_needed")})',
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
        "if spent + wish.amount_in_cents > daily_limit_in_cents:",
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
        "    AND (sent_at > :at - {_DAY_IN_SECONDS}\n        OR (sent_boot = :boot AND",
        "    AND (FALSE\n        OR (sent_boot = :boot AND",
    ),
    "daily limit of a clock that went ahead": Guard(
        "refunds/ledger_rows.py",
        "        OR (sent_boot = :boot AND sent_uptime > :uptime - {_DAY_IN_SECONDS}))",
        "        OR FALSE)",
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
        "if case.earlier.names and case.named != set(case.earlier.names):",
        "if False:",
    ),
    "open refund": Guard(
        "refunds/decision.py",
        "if case.in_flight is not None:",
        "if False:",
    ),
    "verification window": Guard(
        "refunds/settlement.py",
        "if seconds_at_least(attempt.sent, now, look) < self.window_seconds:",
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
        "is_refused = refusal is not None and evidence.unchanged_reads >= READS_TO_BELIEVE",
        "is_refused = refusal is not None",
    ),
    "person while a refusal may take effect": Guard(
        "refunds/matching.py",
        'return ("refused", left) if attempt.is_provisional and left > 0 else (None, 0.0)',
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
        "fact = NO_MONEY_MOVED if is_sure else NOT_LISTED_SO_FAR",
        "fact = NO_MONEY_MOVED",
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
        "            if self.is_older(rows):\n                rows.note",
        "            if False:\n                rows.note",
    ),
    "restore that is only read": Guard(
        "refunds/ledger_file.py",
        "is_noted = not self.exists or (rows.knows_boot() and not self.is_older(rows))",
        "is_noted = not self.exists or rows.knows_boot()",
    ),
    "restore that cannot be noted": Guard(
        "refunds/ledger.py",
        "return rows.order(order_id, rows.now if self.is_older(rows) else None)",
        "return rows.order(order_id, None)",
    ),
    "highest number that is kept": Guard(
        "refunds/ledger_file.py",
        "        if number <= self.kept_number():\n            return\n",
        "",
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
        "and not case.only_terminal_asks and",
        "and",
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
        "cli/refunds.py",
        "return sys.stdin.isatty() and sys.stdout.isatty()",
        "return True",
    ),
    "terminal with --yes": Guard(
        "cli/refunds.py",
        "return not self.yes and _somebody_is_there()",
        "return _somebody_is_there()",
    ),
    "terminal that resolves": Guard(
        "cli/refunds.py",
        "    if not _somebody_is_there():\n        stop(",
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
    "noes that are no box": Guard(
        "serving/elicitation.py",
        "isinstance(chosen, str) and word in _NO\n",
        "False\n",
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
