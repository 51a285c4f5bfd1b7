"""The number that a command ends with, as a script reads it: each command is a real process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from tests.cli.test_main import keyless, run, run_process
from tests.cli.test_refunds import person, posix, previewed, unknown
from tests.documents.test_references import TEXTS, section, table
from tests.tools.test_refunds import posts

from clawver_orders.cli.call import _code
from clawver_orders.cli.options import DECLINED, DONE, FAILED, MISUSED, UNKNOWN
from clawver_orders.tools import TOOLS
from clawver_sandbox.shop import Shop

pytestmark = pytest.mark.slow  # each starts several processes

SECRET = "whsec_example_0123456789"
URL = "https://hooks.example/clawver"


@pytest.fixture
def store(live: dict[str, str]) -> dict[str, str]:
    return live | {
        "CLAWVER_REFUND_APPROVAL": "agent",
        "CLAWVER_REFUND_VERIFY_SECONDS": "900",
        "CLAWVER_WEBHOOK_SECRET": SECRET,
        "CLAWVER_WEBHOOK_HOSTS": "hooks.example",
    }


@pytest.fixture
def sale(shop: Shop) -> str:
    return str(shop.sell(total_in_cents=2499)["id"])


def ended(*words: str, **environment: str) -> tuple[int, str]:
    """How a command ended, and the status in its answer."""
    done = run_process(*words, **environment)
    return done.returncode, json.loads(done.stdout)["status"]


def wanted(order_id: str, cents: int = 700) -> tuple[str, ...]:
    return "call", "refund_order", f"order_id={order_id}", f"amount_in_cents={cents}", "reason=Worn"


def test_the_page_lists_the_codes_of_the_commands() -> None:
    rows = table(section(TEXTS["docs/setup.md"], "Exit codes"))

    assert [int(row[0]) for row in rows] == [DONE, FAILED, MISUSED, UNKNOWN, DECLINED]


def test_a_call_that_refunds_and_its_repeat_are_done(store: dict[str, str], sale: str) -> None:
    store |= {"CLAWVER_REFUND_APPROVAL": "off"}

    assert ended(*wanted(sale), **store) == (0, "refunded")
    assert ended(*wanted(sale), **store) == (0, "already_refunded")
    assert ended("call", "check_refund", f"order_id={sale}", **store) == (0, "refunded")


def test_a_refund_that_waits_or_was_declined_is_told_apart(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    waits = ended(*wanted(sale), **store)
    refund_id = previewed(store, sale)
    declined = run_process("decline", refund_id, "--yes", **store)
    shown = ("call", "confirm_refund", f"refund_id={refund_id}", "revision=1")

    assert waits == (1, "needs_approval")
    assert declined.returncode == 0
    assert ended(*shown, **store) == (4, "declined")
    assert ended("call", "check_refund", f"refund_id={refund_id}", **store) == (4, "declined")
    assert run_process("approve", refund_id, "--yes", **store).returncode == 4
    assert posts(shop) == []


def test_a_refund_whose_outcome_is_unknown_ends_with_3_in_every_command(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    shop.add_fault("drop_before", method="POST")
    said = [
        run_process("approve", refund_id, "--yes", **store),
        run_process("refunds", "check", **store),
        run_process("decline", refund_id, "--yes", **store),
        run_process("approve", refund_id, "--yes", **store),
    ]

    assert [each.returncode for each in said] == [3] * 4
    assert "unknown" in said[0].stdout
    assert ended(*wanted(sale), **store) == (3, "unknown")
    assert ended("call", "check_refund", f"refund_id={refund_id}", **store) == (3, "unknown")
    assert ended(*wanted(sale, 300), **store) == (3, "busy")
    assert len(posts(shop)) == 1


def test_a_refund_that_never_showed_is_a_failure(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    store |= {"CLAWVER_REFUND_VERIFY_SECONDS": "0.3"}
    refund_id = unknown(store, shop, sale)
    while run("refunds", "check", **store).returncode == UNKNOWN:
        pass
    check = ("call", "check_refund", f"refund_id={refund_id}")

    assert ended(*check, **store) == (1, "not_recorded")
    assert run_process("refunds", "check", **store).returncode == 0
    (lock,) = Path(store["CLAWVER_STATE_DIR"]).glob(f"**/locks/order-{sale}.lock")
    lock.unlink()
    lock.mkdir()
    failed = run_process("refunds", "check", **store)
    assert failed.returncode == 1
    assert "Nothing is open." in failed.stdout


def test_what_clawver_refused_was_looked_up_well(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    shop.add_fault("status_before", method="POST", status=400)
    refused = run_process("approve", refund_id, "--yes", **store)
    check = run_process("refunds", "check", **store)

    assert (refused.returncode, check.returncode) == (1, 0)
    assert refund_id in check.stderr


@contextmanager
def asked(store: dict[str, str], refund_id: str) -> Iterator[subprocess.Popen[str]]:
    """A process that asks whether to approve a refund, and waits for the answer."""
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "approve", refund_id],
        env=keyless() | store, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            while process.stdout.read(1) not in {"?", ""}:
                pass
            yield process
        finally:
            process.kill()


def test_nothing_is_unknown_while_a_person_is_asked_and_their_no_ends_with_4(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    with asked(store, refund_id) as process:
        meanwhile = ended("call", "check_refund", f"refund_id={refund_id}", **store)
        process.communicate("n\n", timeout=60)

    assert meanwhile == (1, "busy")
    assert process.returncode == 4
    assert posts(shop) == []


@posix
@pytest.mark.parametrize("answer", ["n", ""])
def test_only_a_no_to_the_refund_itself_ends_with_4(
    store: dict[str, str], shop: Shop, sale: str, answer: str
) -> None:
    refund_id = previewed(store, sale)
    kept = person(store, "decline", refund_id, answers=[answer])
    declined = person(store, "approve", refund_id, answers=[answer])
    lost = unknown(store, shop, str(shop.sell(total_in_cents=1500)["id"]))
    words = ("refunds", "resolve", lost, "--as", "refunded", "--because", "the dashboard lists it")
    noted = person(store, *words, answers=[answer])

    assert [each.returncode for each in (kept, declined, noted)] == [1, 4, 1]
    assert kept.stdout.endswith("\nNothing was changed.\n")
    assert noted.stdout.endswith("\nNothing was changed.\n")


@posix
def test_what_a_person_says_of_a_refund_that_is_being_looked_up_is_not_noted(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = unknown(store, shop, sale)
    (lock,) = Path(store["CLAWVER_STATE_DIR"]).glob(f"**/locks/order-{sale}.lock")
    words = ("refunds", "resolve", refund_id, "--as", "refunded", "--because", "seen")
    with FileLock(lock):
        busy = person(store, *words)
    done = person(store, *words)

    assert (busy.returncode, done.returncode) == (3, 0)
    assert f"{refund_id}: busy." in busy.stdout


def test_an_answer_that_never_comes_is_no_persons_no(store: dict[str, str], sale: str) -> None:
    refund_id = previewed(store, sale)

    assert run_process("decline", refund_id, **store).returncode == 1
    assert run_process("approve", refund_id, **store).returncode == 1


def test_a_webhook_that_may_be_registered_ends_with_3(store: dict[str, str], shop: Shop) -> None:
    register = ("call", "register_webhook", f"url={URL}", "events=order.paid")
    shop.add_fault("drop_after", method="POST")
    by_tool = run_process(*register, **store)
    shop.add_fault("drop_after", method="POST")
    words = ("webhook", "register", f"{URL}/2", "--events", "order.paid", "--yes")
    by_command = run_process(*words, **store)

    assert (by_tool.returncode, by_command.returncode) == (3, 3)
    assert "Look first" in by_tool.stderr
    assert "Look first" in by_command.stderr
    assert run_process(*register, **store).returncode == 0
    assert run_process(*words, **store).returncode == 0


def test_a_webhook_that_waits_ends_with_1(store: dict[str, str]) -> None:
    store |= {"CLAWVER_REFUND_APPROVAL": "console"}
    words = ("webhook", "register", URL, "--events", "order.paid", "--yes")
    register = ("call", "register_webhook", f"url={URL}", "events=order.paid")

    assert run_process(*words, **store).returncode == 1
    assert ended(*register, **store) == (1, "needs_approval")


def test_the_status_of_an_order_is_no_outcome() -> None:
    assert _code(TOOLS["get_order_status"], {"status": "unknown"}) == 0


# Where the answer cannot be written, the number is all that a script gets.

on_full_disks = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def unheard(how: str, *words: str, **environment: str) -> tuple[int, str]:
    """How a command ended whose output nobody gets, and what it complained of."""
    done = subprocess.run(
        ["sh", "-c", f'"$@" {how}', "sh", sys.executable, "-m", "clawver_orders", *words],
        env=keyless() | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr


@on_full_disks
@pytest.mark.parametrize(("fault", "code"), [("", 0), ("drop_before", 3)])
def test_a_full_disk_does_not_hide_what_became_of_a_refund(
    store: dict[str, str], shop: Shop, sale: str, fault: str, code: int
) -> None:
    shown = (f"refund_id={previewed(store, sale)}", "revision=1")
    if fault:
        shop.add_fault(fault, method="POST")
    ended_with, said = unheard(">/dev/full", "call", "confirm_refund", *shown, **store)

    assert len(posts(shop)) == 1
    assert (ended_with, said) == (
        code,
        f"The output could not be written: No space left on device. The exit code is {code}.\n",
    )


@on_full_disks
@pytest.mark.parametrize(("words", "code"), [(("--yes",), 1), ((), 1)])
def test_nothing_is_sent_where_the_question_cannot_be_shown(
    store: dict[str, str], shop: Shop, sale: str, words: tuple[str, ...], code: int
) -> None:
    ended_with, said = unheard(">/dev/full", "approve", previewed(store, sale), *words, **store)

    assert ended_with == code
    assert "Traceback" not in said
    assert said.startswith("The output could not be written")
    assert posts(shop) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes files")
def test_a_closed_output_hides_nothing_either(store: dict[str, str], shop: Shop, sale: str) -> None:
    refund_id = previewed(store, sale)

    assert unheard(">&-", "approve", refund_id, "--yes", **store) == (0, "")
    assert unheard(">&-", "refunds", **store) == (0, "")
    assert unheard(">&- 2>&-", "approve", "rfi_none", **store) == (1, "")
    assert len(posts(shop)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_a_reader_that_went_away_after_the_question_hides_nothing_either(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    shop.add_fault("slow", method="POST", seconds=0.5)
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "approve", refund_id, "--yes"],
        env=keyless() | store, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, "Traceback" in said) == (0, False)
    assert "The output could not be written: Broken pipe. The exit code is 0." in said
    assert len(posts(shop)) == 1


@on_full_disks
def test_a_webhook_that_was_registered_is_told_by_the_code(
    store: dict[str, str], shop: Shop
) -> None:
    register = ("call", "register_webhook", f"url={URL}", "events=order.paid")

    assert unheard(">/dev/full", *register, **store)[0] == 0
    assert unheard(">/dev/full", "refunds", **store)[0] == 1
    assert len(shop.webhooks()) == 1


@pytest.mark.parametrize("option", ["--order", "--event"])
def test_bytes_that_are_no_text_are_misuse(store: dict[str, str], option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clawver_orders", "events", option, b"\xff"],
        env=keyless() | store, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{option} holds characters that no id and no name has.\n"
