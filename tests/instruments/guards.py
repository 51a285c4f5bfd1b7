"""Takes one guard of the refund desk away at a time, and says which tests notice.

uv run python -m tests.instruments.guards                   all of them: some twenty minutes
uv run python -m tests.instruments.guards lock baseline
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
TESTS = (
    "tests/refunds/test_refunding.py",
    "tests/refunds/test_settling.py",
    "tests/refunds/test_approving.py",
    "tests/refunds/test_noes.py",
    "tests/refunds/test_failing_ledger.py",
    "tests/refunds/test_ledger.py",
    "tests/serving/test_what_answers_prove.py",
    "tests/tools/test_refunds.py",
    "tests/refunds/test_races.py",
    "tests/refunds/test_machine.py",
)


@dataclass(frozen=True)
class Guard:
    """Words in a file, and what is left of them without the guard."""

    file: str
    words: str
    without: str


GUARDS = {
    "index": Guard(
        "refunds/ledger.py",
        "CREATE UNIQUE INDEX one_open_refund_per_order",
        "CREATE INDEX one_open_refund_per_order",
    ),
    "second index": Guard(
        "refunds/ledger.py",
        "CREATE UNIQUE INDEX one_intent_per_clawver_refund",
        "CREATE INDEX one_intent_per_clawver_refund",
    ),
    "lock": Guard("refunds/order_locks.py", "while not _taken(lock):", "while False:"),
    "shield": Guard("refunds/settlement.py", "CancelScope(shield=True)", "CancelScope()"),
    "baseline": Guard("refunds/matching.py", "refund.id not in intent.baseline and ", ""),
    "repeat check": Guard(
        "refunds/desk.py",
        "if earlier.names and named != set(earlier.names):",
        "if False:",
    ),
    "open refund": Guard("refunds/desk.py", "if opened is not None:\n            status", "if False:\n            status"),
    "settle window": Guard(
        "refunds/settlement.py",
        "if self._seconds_since_sent(intent) < self._settings.refund_settle_seconds:",
        "if False:",
    ),
    "look after a refusal": Guard(
        "refunds/settlement.py",
        "and self._seconds_since_sent(intent) < self._settings.refund_settle_seconds\n",
        "and False\n",
    ),
    "second look": Guard("refunds/ledger.py", "absent_reads > 1", "absent_reads > 0"),
    "claims": Guard("refunds/settlement.py", " if refund.id not in claimed]", "]"),
    "check of a no": Guard(
        "refunds/settlement.py",
        "if refusal is not None and not found and unchanged == READS_TO_BELIEVE:",
        "if refusal is not None:",
    ),
    "person after not_recorded": Guard(
        "refunds/desk.py",
        'return self._settings.refund_approval == "human" or intent.needs_person',
        'return self._settings.refund_approval == "human"',
    ),
    "no after the preview": Guard(
        "refunds/desk.py", "now.needs_person or not earlier.needs_person", "True"
    ),
    "preview after silence": Guard(
        "refunds/desk.py", "if stands in {Asking.OPEN, Asking.UNANSWERED}:", "if False:"
    ),
    "no to what failed": Guard(
        "refunds/ledger.py", 'elif asked.state == "failed" or not (', "elif False and not ("
    ),
    "question that is open": Guard(
        "refunds/desk.py", "if other is not None:\n                return", "if False:\n                return"
    ),
    "what was seen": Guard(
        "refunds/matching.py", "if not order.lists_its_refunds:\n        return order", "return order"
    ),
    "answers of the host itself": Guard(
        "caller.py", "if seconds >= A_PERSON_TAKES_SECONDS or", "if True or"
    ),
    "unclear answers": Guard(
        "serving/elicitation.py",
        "return Reply.NO if is_no else Reply.UNCLEAR",
        "return Reply.NO if is_no else Reply.FAILED",
    ),
    "no meanwhile": Guard(
        "refunds/desk.py", "if approved_by == BY_AGENT and earlier.needs_person:", "if False:"
    ),
}  # fmt: skip
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


def noticed(copy: Path, guard: Guard) -> list[str]:
    """The first test of each part that fails in a copy of the tree without this guard."""
    target = copy / PACKAGE / guard.file
    whole = target.read_text("utf-8")
    target.write_text(without(guard), "utf-8")
    environment = os.environ | {"PYTHONPATH": str(copy / "server"), "MACHINE_SHRINKS": "no"}
    first: list[str] = []
    for part in TESTS:
        told = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-m", "not long and not clients", "-p", "no:cacheprovider",
                "-rfE", part,
            ],
            cwd=copy, env=environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        first += re.findall(r"^(?:FAILED|ERROR) tests/(\S+)", told.stdout, re.MULTILINE)
    target.write_text(whole, "utf-8")
    return first


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
            tests = noticed(copy, GUARDS[name])
            unnoticed += not tests
            print(f"without the {name}:", *(tests or ["NOTHING FAILS"]), sep="\n  ", flush=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
