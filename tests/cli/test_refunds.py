"""The refund ledger in a terminal, as a person or a script uses it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.test_main import keyless, run, run_process
from tests.conftest import Configure
from tests.hosts import wait_for
from tests.tools.test_refunds import given_back, posts

from clawver_orders import __version__
from clawver_orders.settings import Settings
from clawver_sandbox.shop import API_KEY, Shop


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "CLAW_API_KEY": API_KEY,
        "CLAWVER_API_URL": f"{store_url}/v1",
        "CLAWVER_STATE_DIR": str(tmp_path / "state"),
        "CLAWVER_REFUND_SETTLE_SECONDS": "0.3",
    }


def place_of(store: dict[str, str]) -> str:
    return Settings(api_url=store["CLAWVER_API_URL"]).place


def previewed(store: dict[str, str], order_id: str, cents: int = 700) -> str:
    wanted = (f"order_id={order_id}", f"amount_in_cents={cents}", "reason=Smudged")
    done = run("call", "refund_order", *wanted, **store)
    answer = json.loads(done.stdout)
    assert answer["status"] == "needs_confirmation"
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


def test_a_person_approves_in_the_terminal(store: dict[str, str], shop: Shop, sale: str) -> None:
    human = store | {"CLAWVER_REFUND_APPROVAL": "human"}
    refund_id = previewed(human, sale)
    done = run_process("approve", refund_id, stdin="y\n", **human)
    shown = run_process("refunds", "show", refund_id, **human)

    assert done.returncode == 0, done.stderr
    assert f"Refund $7.00 on order {sale}?" in done.stdout
    assert f"{refund_id}: refunded. $7.00 was refunded on {sale}." in done.stdout
    assert given_back(shop, sale) == [700]
    assert "approved by person in the terminal" in shown.stdout
    assert f"clawver_refund_id: {shop.order(sale)['refunds'][0]['id']}" in shown.stdout


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_in_the_terminal_nothing_is_sent(
    store: dict[str, str], shop: Shop, sale: str, answer: str
) -> None:
    done = typed(answer, "approve", previewed(store, sale), **store)

    assert done.returncode == 1
    assert posts(shop) == []


def test_a_no_in_the_terminal_is_no_agents_yes(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    typed("n\n", "approve", refund_id, **store)
    confirmed = json.loads(run("call", "confirm_refund", f"refund_id={refund_id}", **store).stdout)

    assert confirmed["status"] == "declined"
    assert posts(shop) == []
    trail = run("refunds", "show", refund_id, **store).stdout
    assert f"through clawver-orders approve {__version__}" in trail


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


@pytest.mark.parametrize("mode", ["ask", "human", "off"])
def test_a_person_is_asked_in_the_terminal_whatever_the_settings_say(
    store: dict[str, str], shop: Shop, sale: str, mode: str
) -> None:
    refund_id = previewed(store, sale)
    done = typed("n\n", "approve", refund_id, **store | {"CLAWVER_REFUND_APPROVAL": mode})

    assert "Send this refund?" in done.stdout
    assert posts(shop) == []


def test_a_script_approves_what_a_person_decided(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    first = run("approve", refund_id, "--yes", **store)
    again = run("approve", refund_id, "--yes", **store)

    assert (first.returncode, again.returncode) == (0, 0)
    assert given_back(shop, sale) == [700]


def test_a_person_declines_and_may_change_their_mind(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    kept = typed("n\n", "decline", refund_id, **store)
    declined = typed("y\n", "decline", refund_id, **store)
    again = run("decline", refund_id, "--yes", **store)
    refused = json.loads(run("call", "confirm_refund", f"refund_id={refund_id}", **store).stdout)
    assert posts(shop) == []
    after_all = run("approve", refund_id, "--yes", **store)
    late = run("decline", refund_id, "--yes", **store)

    assert kept.returncode == 1
    assert f"$7.00 on {sale}, previewed since" in declined.stdout
    assert "nothing was sent" in declined.stdout
    assert again.returncode == 0
    assert refused["status"] == "declined"
    assert after_all.returncode == 0
    assert refund_id in after_all.stdout
    assert late.returncode == 1
    assert "Too late: a refund of the same amount was sent since" in late.stdout
    assert given_back(shop, sale) == [700]


def test_what_was_sent_can_no_longer_be_declined(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    run("approve", refund_id, "--yes", **store)
    done = run("decline", refund_id, "--yes", **store)

    assert done.returncode == 1
    assert "can no longer be declined: it is confirmed" in done.stderr


def test_a_no_to_what_went_under_another_id_says_so(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    old, wanted = previewed(store, sale), (f"order_id={sale}", "amount_in_cents=700", "reason=Torn")
    new = json.loads(run("call", "refund_order", *wanted, **store).stdout)["refund_id"]
    run("call", "confirm_refund", f"refund_id={new}", **store)

    done = run("decline", old, "--yes", **store)

    assert done.returncode == 1
    assert f"Too late: a refund of the same amount was sent since, as {new}." in done.stdout
    assert f"{new}: refunded. $7.00 was refunded on {sale}." in done.stdout
    assert "nothing was sent" not in done.stdout


def test_a_no_to_what_was_refused_and_landed_says_that_it_was_sent(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    slow = store | {"CLAWVER_REFUND_SETTLE_SECONDS": "600"}
    refund_id = previewed(slow, sale)
    shop.add_fault("status_before", method="POST", status=400)
    run("approve", refund_id, "--yes", **slow)
    first = run("decline", refund_id, "--yes", **slow)
    shop.refund(sale, 700, "It landed after all")
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

    title = f'Store: "Pixel & Thread" ({shop.details()["id"]}) at {place_of(store)}, test key\n'
    assert empty.stdout == "Store: none was used here yet\nNo refunds.\n"
    assert f"{table[0]}\n" == title
    assert table[1].split() == [
        "refund",
        "order",
        "amount",
        "state",
        "since",
        "(UTC)",
        "at",
        "Clawver",
    ]
    assert [line.split()[0] for line in table[2:]] == [waiting, refund_id]
    assert [row["state"] for row in rows] == ["previewed", "confirmed"]
    assert rows[1]["amount_in_cents"] == 700
    assert opened.stdout == f"{title}No refunds.\n"


def test_everything_open_is_looked_up(store: dict[str, str], shop: Shop, sale: str) -> None:
    shop.add_fault("drop_before", method="POST")
    lost = run("approve", previewed(store, sale), "--yes", **store)
    first = run("refunds", "check", **store | {"CLAWVER_REFUND_SETTLE_SECONDS": "900"})
    listed = run("refunds", "--open", **store)
    last = checked_until_nothing_is_open(store)
    again = run("refunds", **store)

    assert lost.returncode == 1
    assert "unknown" in lost.stdout
    assert first.returncode == 1
    assert "1 still open." in first.stdout
    assert "unknown" in listed.stdout
    assert "Nothing is open." in last.stdout
    assert "absent" in again.stdout


def test_what_landed_late_or_twice_is_said_in_the_terminal(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    shop.add_fault("drop_before", method="POST")
    refund_id = previewed(store, sale)
    run("approve", refund_id, "--yes", **store)
    checked_until_nothing_is_open(store)
    shop.refund(sale, 700, "The request, late")
    late = run("refunds", "check", **store)
    shop.add_fault("duplicate", method="POST")
    twice = run("approve", previewed(store, sale, 300), "--yes", **store)

    assert late.returncode == 0
    assert f"{refund_id}: refunded. $7.00 was refunded on {sale}." in late.stdout
    assert twice.returncode == 0
    assert "2 refunds of this amount are new on the order" in twice.stderr
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
    shop.refund(sale, 700, "The request, late")

    done = run("refunds", "check", **store | {"CLAWVER_REFUND_SETTLE_SECONDS": "900"})

    assert done.returncode == 1
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


def test_the_terminal_works_on_the_sandbox_too(tmp_path: Path) -> None:
    state = {"CLAWVER_STATE_DIR": str(tmp_path)}
    wanted = ("order_id=ord_shirt", "amount_in_cents=500", "reason=Goodwill")
    asked = json.loads(run("call", "refund_order", *wanted, "--sandbox", **state).stdout)
    done = run("approve", asked["refund_id"], "--yes", "--sandbox", **state)

    assert done.returncode == 0
    assert f"clawver-orders refunds show {asked['refund_id']} --sandbox\n" in done.stdout
    assert "confirmed" in run("refunds", "--sandbox", **state).stdout
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
