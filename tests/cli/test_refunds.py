"""The refund ledger in a terminal, as a person or a script uses it."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_main import keyless, run, run_process
from tests.conftest import Configure, slow, with_slow
from tests.hosts import wait_for
from tests.terminals import at_terminal
from tests.tools.test_refunds import given_back, posts

from clawver_orders import __version__
from clawver_orders.settings import Settings
from clawver_sandbox.shop import API_KEY, Shop

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "CLAW_API_KEY": API_KEY,
        "CLAWVER_API_URL": f"{store_url}/v1",
        "CLAWVER_STATE_DIR": str(tmp_path / "state"),
        "CLAWVER_REFUND_VERIFY_SECONDS": "0.3",
        "CLAWVER_REFUND_APPROVAL": "agent",
    }


def place_of(store: dict[str, str]) -> str:
    return Settings(api_url=store["CLAWVER_API_URL"]).place


def previewed(store: dict[str, str], order_id: str, cents: int = 700) -> str:
    wanted = (f"order_id={order_id}", f"amount_in_cents={cents}", "reason=Smudged")
    done = run("call", "refund_order", *wanted, **store)
    answer = json.loads(done.stdout)
    assert answer["status"] == "needs_approval"
    return str(answer["refund_id"])


def typed(answer: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with a person at its keyboard."""
    return run(*words, stdin=answer, **environment)


def checked_until_nothing_is_open(store: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Look until the window is over in which a refund may still show, and say what came of it."""
    checks = []

    def is_clear() -> bool:
        checks.append(run("refunds", "check", **store))
        return checks[-1].returncode == 0

    wait_for(is_clear)
    return checks[-1]


@pytest.fixture
def sale(shop: Shop) -> str:
    return str(shop.sell(total_in_cents=2499)["id"])


def person(
    store: dict[str, str], *words: str, answers: Sequence[str] = ("y",)
) -> subprocess.CompletedProcess[str]:
    """A command with a person who reads and types at a real terminal."""
    return at_terminal(*words, answers=answers, environment=keyless() | store)


def program(store: dict[str, str], kind: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The same without a person: its answer comes through a pipe, or from `--yes`."""
    environment = keyless() | store
    if kind == "echo y |":
        return at_terminal(*words, piped_in="y\n", environment=environment)
    if kind == "| cat":
        return at_terminal(*words, answers=["y"], is_piped_on=True, environment=environment)
    if kind == "--yes at a terminal":
        return at_terminal(*words, "--yes", environment=environment)
    return run_process(*words, *(["--yes"] if kind == "--yes" else []), stdin="y\n", **store)


PROGRAMS = ["echo y |", "| cat", "no terminal", "--yes", "--yes at a terminal"]


def row(store: dict[str, str], refund_id: str) -> dict[str, Any]:
    """A refund as `refunds --json` gives it."""
    rows = json.loads(run("refunds", "--json", **store).stdout)
    return next(each for each in rows if each["refund_id"] == refund_id)


def unknown(store: dict[str, str], shop: Shop, order_id: str) -> str:
    """A refund whose request was lost on its way."""
    shop.add_fault("drop_before", method="POST")
    refund_id = previewed(store, order_id)
    assert "unknown" in run("approve", refund_id, "--yes", **store).stdout
    return refund_id


@posix
def test_a_person_approves_in_the_terminal(store: dict[str, str], shop: Shop, sale: str) -> None:
    human = store | {"CLAWVER_REFUND_APPROVAL": "chat"}
    refund_id = previewed(human, sale)
    done = person(human, "approve", refund_id)
    shown = run("refunds", "show", refund_id, **human).stdout

    assert done.returncode == 0, done.stdout
    assert f"Refund $7.00 on order {sale}?" in done.stdout
    assert "Send this refund? [y/N]: y" in done.stdout
    assert f"{refund_id}: refunded. $7.00 was refunded on {sale}." in done.stdout
    assert given_back(shop, sale) == [700]
    assert "sending  revision 1, approved by person in the terminal (console)  by person" in shown
    assert "status: refunded\nrevision: 1\n" in shown
    assert f"clawver_refund_id: {shop.order(sale)['refunds'][0]['id']}" in shown


@posix
@pytest.mark.parametrize("kind", with_slow(PROGRAMS[:1], PROGRAMS[1:]))
def test_a_program_at_the_terminal_is_no_person(
    store: dict[str, str], shop: Shop, sale: str, kind: str
) -> None:
    human = store | {"CLAWVER_REFUND_APPROVAL": "chat"}
    refund_id = previewed(human, sale)
    done = program(human, kind, "approve", refund_id)
    trail = run("refunds", "show", refund_id, **human).stdout

    assert done.returncode == 1
    assert f"{refund_id}: needs_approval. No money was moved" in done.stdout
    assert (
        "this counts as the agent's approval, and the refund needs yours: the input or output is no "
        "terminal, or --yes was given. Run the command in a terminal without --yes."
    ) in done.stdout + done.stderr
    assert posts(shop) == []
    assert "not enough  revision 1: agent, and chat is needed  by program in the terminal" in trail
    assert row(human, refund_id)["status"] == "waiting"


@posix
def test_what_is_not_in_the_ledger_is_not_resolved(store: dict[str, str]) -> None:
    words = ("--as", "refunded", "--because", "seen in the dashboard")
    done = person(store, "refunds", "resolve", "rfi_none", *words)

    assert done.returncode == 1
    assert "holds no refund rfi_none" in done.stdout + done.stderr


@posix
@pytest.mark.parametrize("kind", with_slow(PROGRAMS[:1], PROGRAMS[1:]))
def test_a_program_at_the_terminal_settles_no_doubt(
    store: dict[str, str], shop: Shop, sale: str, kind: str
) -> None:
    declined, other = previewed(store, sale), previewed(store, sale, 300)
    person(store, "decline", declined)
    done = [program(store, kind, "approve", each) for each in (declined, other)]

    assert [each.returncode for each in done] == [4, 1]
    assert "a person declined the refund of $7.00" in done[0].stdout
    assert "the refund needs yours" in done[1].stdout + done[1].stderr
    assert posts(shop) == []


@pytest.mark.parametrize("kind", with_slow(["no terminal"], ["--yes"]))
def test_a_program_approves_where_an_agent_may_and_is_named(
    store: dict[str, str], shop: Shop, sale: str, kind: str
) -> None:
    refund_id = previewed(store, sale)
    done = program(store, kind, "approve", refund_id)
    trail = run("refunds", "show", refund_id, **store).stdout

    assert done.returncode == 0
    assert given_back(shop, sale) == [700]
    assert "approved by program in the terminal (agent)" in trail
    assert "person" not in trail


def test_what_an_approval_without_a_person_counts_for_is_in_the_help() -> None:
    said = " ".join(run("approve", "--help").stdout.split())

    assert "It counts as the agent's approval then, not as yours." in said


@pytest.mark.parametrize(("answer", "code"), [("n\n", 4), ("\n", 4), ("", 1)])
def test_without_a_yes_in_the_terminal_nothing_is_sent(
    store: dict[str, str], shop: Shop, sale: str, answer: str, code: int
) -> None:
    done = typed(answer, "approve", previewed(store, sale), **store)

    assert done.returncode == code
    assert posts(shop) == []


def test_a_no_in_the_terminal_is_no_agents_yes(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    typed("n\n", "approve", refund_id, **store)
    confirmed = json.loads(
        run("call", "confirm_refund", f"refund_id={refund_id}", "revision=1", **store).stdout
    )

    assert confirmed["status"] == "declined"
    assert posts(shop) == []
    trail = run("refunds", "show", refund_id, **store).stdout
    assert f"through clawver-orders approve {__version__}" in trail
    assert re.search(rf"process \d+ on {re.escape(platform.node())}  ", trail)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal as a terminal does")
def test_an_interrupt_after_the_yes_does_not_hide_what_became_of_it(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    shop.add_fault("slow", method="POST", seconds=1)
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "approve", previewed(store, sale), "--yes"],
        env=keyless() | store, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for(lambda: any(each["method"] == "POST" for each in shop.requests()))
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=60)

    assert process.returncode == 0, complaints
    assert "refunded. $7.00" in said


@pytest.mark.parametrize("mode", ["agent", "chat", "off"])
def test_a_person_is_asked_in_the_terminal_whatever_the_settings_say(
    store: dict[str, str], shop: Shop, sale: str, mode: str
) -> None:
    refund_id = previewed(store, sale)
    done = typed("n\n", "approve", refund_id, **store | {"CLAWVER_REFUND_APPROVAL": mode})

    assert "Send this refund?" in done.stdout
    assert posts(shop) == []


def test_a_script_approves_what_is_left_to_it_once(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    first = run("approve", refund_id, "--yes", **store)
    again = run("approve", refund_id, "--yes", **store)

    assert (first.returncode, again.returncode) == (0, 0)
    assert given_back(shop, sale) == [700]


@pytest.mark.slow
@posix
def test_a_person_declines_and_may_change_their_mind(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    shown = f"refund_id={refund_id}", "revision=1"
    kept = person(store, "decline", refund_id, answers=("n",))
    declined = person(store, "decline", refund_id)
    again = run("decline", refund_id, "--yes", **store)
    refused = json.loads(run("call", "confirm_refund", *shown, **store).stdout)
    before = row(store, refund_id)
    assert posts(shop) == []
    after_all = person(store, "approve", refund_id)
    after = row(store, refund_id)
    late = run("decline", refund_id, "--yes", **store)

    assert kept.returncode == 1
    assert f"$7.00 on {sale}, waiting since" in declined.stdout
    assert f"declined: nothing was sent for {refund_id}" in declined.stdout
    assert (declined.returncode, again.returncode) == (0, 0)
    assert refused["status"] == "declined"
    assert after_all.returncode == 0
    assert "A person declined $7.00 on this order in the last 24 hours." in after_all.stdout
    assert f"{refund_id}: refunded." in after_all.stdout
    assert [(each["status"], each["revision"]) for each in (before, after)] == [
        ("declined", 1), ("refunded", 2),
    ]  # fmt: skip
    assert late.returncode == 1
    assert "Too late: it was sent." in late.stdout
    assert f"{refund_id}: refunded. $7.00 was refunded on {sale}." in late.stdout
    assert given_back(shop, sale) == [700]


@posix
def test_a_terminal_goes_by_its_own_settings_and_not_by_those_of_the_host(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    host = store | {"CLAWVER_REFUND_APPROVAL": "pin"}
    refund_id = previewed(host, sale)
    same = person(host, "approve", refund_id)
    by_default = {name: value for name, value in store.items() if "APPROVAL" not in name}
    lower = person(by_default | {"CLAWVER_REFUND_LIMIT_CENTS": "699"}, "approve", refund_id)
    assert posts(shop) == []
    default = person(by_default, "approve", refund_id)

    assert (same.returncode, lower.returncode, default.returncode) == (1, 1, 0)
    assert "this store has no PIN yet" in same.stdout
    assert "above the limit of $6.99" in lower.stdout
    assert given_back(shop, sale) == [700]


@posix
def test_a_person_approves_less_than_was_asked(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    human = store | {"CLAWVER_REFUND_APPROVAL": "chat"}
    refund_id = previewed(human, sale)
    less = ("approve", refund_id, "--amount-in-cents", "300")
    by_program = run(*less, "--yes", **human)
    more = person(human, "approve", refund_id, "--amount-in-cents", "701", answers=())
    assert posts(shop) == []
    assert [each["status"] for each in json.loads(run("refunds", "--json", **human).stdout)] == [
        "waiting", "waiting",
    ]  # fmt: skip
    done = person(human, *less)
    rows = {r["amount_in_cents"]: r for r in json.loads(run("refunds", "--json", **human).stdout)}

    assert (by_program.returncode, more.returncode, done.returncode) == (1, 1, 0)
    assert "No money was moved: $7.01 is more than the $7.00 that are wanted." in more.stdout
    assert f"Refund $3.00 on order {sale}?" in done.stdout
    assert f"{rows[300]['refund_id']}: refunded. $3.00 was refunded on {sale}." in done.stdout
    assert f"clawver-orders refunds show {rows[300]['refund_id']}" in done.stdout
    assert (rows[300]["status"], rows[700]["status"]) == ("refunded", "declined")
    assert rows[700]["refund_id"] == refund_id
    assert given_back(shop, sale) == [300]


@pytest.mark.parametrize("given", ["0", "-5", "3.5", "all"])
def test_an_amount_that_is_none_is_refused(
    store: dict[str, str], shop: Shop, sale: str, given: str
) -> None:
    refund_id = previewed(store, sale)
    done = run("approve", refund_id, "--yes", f"--amount-in-cents={given}", **store)

    assert done.returncode == 2
    assert "--amount-in-cents" in done.stderr
    assert posts(shop) == []


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("outcome", "status"),
    [("not-refunded", "not_recorded"), slow("refunded", "refunded")],
)
def test_a_person_says_what_became_of_a_refund(
    store: dict[str, str], shop: Shop, sale: str, outcome: str, status: str
) -> None:
    slow = store | {"CLAWVER_REFUND_VERIFY_SECONDS": "900"}
    refund_id = unknown(slow, shop, sale)
    words = (
        "refunds",
        "resolve",
        refund_id,
        "--as",
        outcome,
        "--because",
        "the dashboard shows it",
    )
    kept = person(slow, *words, answers=("n",))
    assert row(slow, refund_id)["status"] == "unknown"
    done = person(slow, *words)
    again = person(slow, *words)
    trail = run("refunds", "show", refund_id, **slow).stdout
    other = previewed(slow, sale, 300)
    by_program = run("approve", other, "--yes", **slow)

    assert (kept.returncode, done.returncode, again.returncode) == (1, 0, 1)
    assert f"{refund_id}: $7.00 on {sale}, unknown since" in done.stdout
    assert f"Note this refund as {outcome}?" in done.stdout
    assert f"{refund_id}: {status}." in done.stdout
    assert row(slow, refund_id)["status"] == status
    assert f"{status}  the dashboard shows it  by person in the terminal" in trail
    assert (
        f"nothing was changed, because the outcome of refund {refund_id} is known" in again.stdout
    )
    assert by_program.returncode == 1
    assert "the refund needs yours" in by_program.stderr
    assert len(posts(shop)) == 1


@pytest.mark.slow
@posix
@pytest.mark.parametrize("kind", with_slow(["echo y |"], ["| cat", "no terminal"]))
def test_only_a_person_says_what_became_of_a_refund(
    store: dict[str, str], shop: Shop, sale: str, kind: str
) -> None:
    slow = store | {"CLAWVER_REFUND_VERIFY_SECONDS": "900"}
    refund_id = unknown(slow, shop, sale)
    words = ("refunds", "resolve", refund_id, "--as", "refunded", "--because", "x")
    done = program(slow, kind, *words)

    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "Nothing was changed: only a person in a terminal can say" in said
    assert "Note this refund" not in said
    assert row(slow, refund_id)["status"] == "unknown"


@posix
def test_a_new_refund_that_may_be_the_lost_one_is_left_to_a_person(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = unknown(store, shop, sale)
    shop.refund(sale, 680, "Smudged")  # less than was asked, after a fee
    (listed,) = shop.order(sale)["refunds"]
    looked = [run("refunds", "check", **store) for _ in range(3)]
    done = person(
        store, "refunds", "resolve", refund_id, "--as", "refunded", "--because", "minus a fee"
    )

    assert [each.returncode for each in looked] == [3, 3, 3]
    assert f"new refunds that may be this one or not: {listed['id']} of $6.80" in looked[-1].stderr
    assert "then run: clawver-orders refunds resolve REFUND_ID\n" in looked[-1].stdout
    assert done.returncode == 0
    kept = row(store, refund_id)
    assert (kept["status"], kept["clawver_refund_id"]) == ("refunded", listed["id"])
    assert len(posts(shop)) == 1


def test_what_an_agent_sent_and_a_person_declines_too_late_is_told_as_sent(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    run("approve", refund_id, "--yes", **store)
    done = run("decline", refund_id, "--yes", **store)

    assert done.returncode == 1
    assert "Too late: it was sent." in done.stdout
    assert f"{refund_id}: refunded. $7.00 was refunded on {sale}." in done.stdout
    assert "declined" in run("refunds", "show", refund_id, **store).stdout
    assert row(store, refund_id)["status"] == "refunded"


def test_a_no_to_what_was_refused_and_landed_says_that_it_was_sent(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    slow = store | {"CLAWVER_REFUND_VERIFY_SECONDS": "600"}
    refund_id = previewed(slow, sale)
    shop.add_fault("status_before", method="POST", status=400)
    run("approve", refund_id, "--yes", **slow)
    first = run("decline", refund_id, "--yes", **slow)
    shop.refund(sale, 700, "Smudged")  # it landed after all
    late = run("decline", refund_id, "--yes", **slow)

    assert (first.returncode, late.returncode) == (0, 1)
    assert f"declined: Clawver had refused {refund_id}" in first.stdout
    assert "Too late: it was sent." in late.stdout
    assert f"{refund_id}: refunded. $7.00 was refunded on {sale}." in late.stdout


def test_the_ledger_is_a_table_and_a_list(store: dict[str, str], shop: Shop, sale: str) -> None:
    empty = run("refunds", **store)
    refund_id = previewed(store, sale)
    run("approve", refund_id, "--yes", **store)
    waiting = previewed(store, sale, 300)
    table = run("refunds", **store).stdout.splitlines()
    rows = json.loads(run("refunds", "--json", **store).stdout)
    opened = run("refunds", "--open", **store)
    newest = run("refunds", "--limit", "1", **store).stdout.splitlines()
    one = json.loads(run("refunds", "--limit", "1", "--json", **store).stdout)

    title = f'Store: "Pixel & Thread" ({shop.details()["id"]}) at {place_of(store)}, test key\n'
    assert empty.stdout == "Store: none was used here yet\nNo refunds.\n"
    assert f"{table[0]}\n" == title
    assert table[1].split() == [
        "refund",
        "order",
        "amount",
        "status",
        "since",
        "(UTC)",
        "at",
        "Clawver",
    ]
    assert [line.split()[0] for line in table[2:]] == [waiting, refund_id]
    assert [each["status"] for each in rows] == ["waiting", "refunded"]
    assert list(rows[1]) == [
        "refund_id", "order_id", "amount_in_cents", "status", "revision", "reason", "created_at",
        "sent_at", "clawver_refund_id", "stripe_refund_id", "decided_by",
        "refund_policy", "in_addition_to", "unexpected_refunds",
    ]  # fmt: skip
    assert (rows[1]["amount_in_cents"], rows[1]["revision"]) == (700, 1)
    assert rows[1]["unexpected_refunds"] == []
    assert opened.stdout == f"{title}No refunds.\n"
    assert [line.split()[0] for line in newest[2:]] == [waiting, "There"]
    assert newest[-1] == "There are older ones: raise --limit."
    assert one == rows[:1]


def test_everything_open_is_looked_up(store: dict[str, str], shop: Shop, sale: str) -> None:
    shop.add_fault("drop_before", method="POST")
    lost = run("approve", previewed(store, sale), "--yes", **store)
    first = run("refunds", "check", **store | {"CLAWVER_REFUND_VERIFY_SECONDS": "900"})
    listed = run("refunds", "--open", **store)
    last = checked_until_nothing_is_open(store)
    again = run("refunds", **store)

    assert lost.returncode == 3
    assert "unknown" in lost.stdout
    assert first.returncode == 3
    assert "1 still open." in first.stdout
    assert "unknown" in listed.stdout
    assert "Nothing is open." in last.stdout
    assert "not_recorded" in again.stdout


def test_what_landed_late_or_twice_is_said_in_the_terminal(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    shop.add_fault("drop_before", method="POST")
    refund_id = previewed(store, sale)
    run("approve", refund_id, "--yes", **store)
    checked_until_nothing_is_open(store)
    shop.refund(sale, 700, "Smudged")  # the request, late
    late = run("refunds", "check", **store)
    shop.add_fault("duplicate", method="POST")
    other = previewed(store, sale, 300)
    twice = run("approve", other, "--yes", **store)
    extra = shop.order(sale)["refunds"][-1]["id"]

    assert late.returncode == 0
    assert f"{refund_id}: refunded. $7.00 was refunded on {sale}." in late.stdout
    assert twice.returncode == 0
    assert "2 refunds of this amount are new on the order" in twice.stderr
    assert row(store, other)["unexpected_refunds"] == [extra]
    assert f"unexpected_refunds: {extra}\n" in run("refunds", "show", other, **store).stdout
    assert run("refunds", "check", **store).stdout.endswith("key\nNothing is open.\n")


def test_one_that_cannot_be_looked_up_does_not_keep_the_rest_from_it(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    other = str(shop.sell(total_in_cents=1500)["id"])
    for order in (sale, other):
        shop.add_fault("drop_before", method="POST")
        run("approve", previewed(store, order), "--yes", **store)
    lock = Path(store["CLAWVER_STATE_DIR"], "stores")
    (broken,) = lock.glob(f"**/locks/order-{other}.lock")
    broken.unlink()
    broken.mkdir()
    shop.refund(sale, 700, "Smudged")  # the request, late

    done = run("refunds", "check", **store | {"CLAWVER_REFUND_VERIFY_SECONDS": "900"})

    assert done.returncode == 3
    assert "refunded. $7.00" in done.stdout
    assert "1 still open." in done.stdout
    assert done.stderr.count("rfi_") == 1


@pytest.mark.parametrize("command", [("approve",), ("decline",), ("refunds", "show")])
def test_an_unknown_refund_is_a_sentence(store: dict[str, str], command: tuple[str, ...]) -> None:
    done = run(
        *command, "rfi_\x1b[31mnobody", *(["--yes"] if command[0] != "refunds" else []), **store
    )

    assert done.returncode == 1
    assert "holds no refund rfi_" in done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [("approve", "--yes"), ("decline", "--yes"), ("refunds", "show")]
)
def test_a_refund_in_another_ledger_is_said_to_be_there(
    store: dict[str, str], command: tuple[str, ...]
) -> None:
    wanted = ("order_id=ord_shirt", "amount_in_cents=500", "reason=Goodwill")
    asked = store | {"CLAWVER_REFUND_APPROVAL": "agent"}
    in_sandbox = json.loads(run("call", "refund_order", *wanted, "--sandbox", **asked).stdout)
    in_store = json.loads(run("call", "refund_order", *wanted, **asked).stdout)
    (folder,) = Path(store["CLAWVER_STATE_DIR"]).glob("stores/*/test-*")

    there = run(*command, in_sandbox["refund_id"], **store)
    keyless = {"CLAWVER_STATE_DIR": f"{store['CLAWVER_STATE_DIR']}-2"}
    only = json.loads(run("call", "refund_order", *wanted, "--sandbox", **keyless).stdout)
    no_store = run(*command, only["refund_id"], **keyless)
    back = run(*command, in_store["refund_id"], "--sandbox", **store)
    elsewhere = folder.rename(folder.with_name("live-store_2"))
    other = run(*command, in_store["refund_id"], **store)
    elsewhere.joinpath("ledger.sqlite3").write_bytes(b"damaged")
    damaged = run(*command, in_store["refund_id"], "--sandbox", **store)

    for each in (there, no_store):
        assert each.stderr.endswith("It is in the ledger of the sandbox store: add --sandbox.\n")
    where = f"It is in the ledger of another store, {folder.parent.name}/"
    set_key = "set CLAW_API_KEY to that store's key.\n"
    assert back.stderr.endswith(f"{where}{folder.name}: leave --sandbox out, and {set_key}")
    assert other.stderr.endswith(f"{where}{elsewhere.name}: {set_key}")
    assert damaged.stderr.endswith("with the order_id instead.\n")
    assert {each.returncode for each in (there, back, other, damaged)} == {1}


def test_the_terminal_works_on_the_sandbox_too(tmp_path: Path) -> None:
    state = {"CLAWVER_STATE_DIR": str(tmp_path), "CLAWVER_REFUND_APPROVAL": "agent"}
    wanted = ("order_id=ord_shirt", "amount_in_cents=500", "reason=Goodwill")
    asked = json.loads(run("call", "refund_order", *wanted, "--sandbox", **state).stdout)
    done = run("approve", asked["refund_id"], "--yes", "--sandbox", **state)

    assert done.returncode == 0
    assert f"clawver-orders refunds show {asked['refund_id']} --sandbox\n" in done.stdout
    assert "refunded" in run("refunds", "--sandbox", **state).stdout
    assert run("refunds", CLAW_API_KEY=API_KEY, **state).stdout.endswith("\nNo refunds.\n")


def test_settings_that_do_not_do_are_a_sentence(
    store: dict[str, str], configure: Configure
) -> None:
    done = run("refunds", **store | {"CLAWVER_REFUND_APPROVAL": "sometimes"})

    assert done.returncode == 1
    assert done.stderr.startswith("CLAWVER_REFUND_APPROVAL cannot be used")


def test_a_masked_terminal_does_not_name_the_customer_by_way_of_the_reason(
    store: dict[str, str],
) -> None:
    masked = store | {"CLAWVER_PII": "masked"}
    reason = "reason=Smudged, says נועם לוי <noam@example.com>"
    told = run("call", "refund_order", "order_id=ord_shirt", "amount_in_cents=700", reason, **store)
    refund_id = json.loads(told.stdout)["refund_id"]
    said = [
        run("refunds", "show", refund_id, **masked).stdout,
        run("refunds", "--json", **masked).stdout,
        typed("n\n", "decline", refund_id, **masked).stdout,
        typed("n\n", "approve", refund_id, **masked).stdout,
    ]

    assert not [text for text in said if "noam" in text or "נועם" in text or "לוי" in text]
    assert "reason: …" in said[0]
    assert "Smudged, says … <n…@….com>" in said[3]
    assert "noam@example.com" in run("refunds", "show", refund_id, **store).stdout
