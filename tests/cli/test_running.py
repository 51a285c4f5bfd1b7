"""Where a command ends in a defect of ours: no traceback, and what is known about the money.

Each is a real process in which one part is broken on purpose, at one moment.
"""

import subprocess
import sys

import pytest
from tests.cli.test_main import keyless, run, run_process
from tests.cli.test_refunds import previewed, row
from tests.cli.test_webhooks import REGISTER, SECRET
from tests.tools.test_refunds import posts

from clawver_sandbox.shop import Shop

BREAKS = {
    "before anything is sent": "import clawver_orders.clawver.client as c\nc.Clawver.order = broken\n",
    "after the request, before its answer is noted": (
        "import clawver_orders.refunds.ledger as c\nc.Ledger.claim = broken\nc.Ledger.move = broken\n"
    ),
    "after all is noted": "import clawver_orders.cli.refunds as c\nc._tell = broken_now\n",
    "in a file that is gone": (
        "def gone(*_, **__): open('/an/example/of/a/secret detail')\n"
        "import clawver_orders.cli.refunds as c\nc._tell = gone\n"
    ),
    "in the ledger itself": (
        "import clawver_orders.refunds.desk as c\nc.RefundDesk.approve = broken\n"
        "import clawver_orders.refunds.ledger as d\nd.Ledger.of_order = broken\n"
    ),
    "where webhooks are registered": (
        "import clawver_orders.webhooks.desk as c\nc.WebhookDesk.register = broken\n"
    ),
    "where refunds are listed": "import clawver_orders.refunds.ledger as c\nc.Ledger.latest = broken\n",
    "where the page starts": "import clawver_orders.web.starting as c\nc.running = broken_now\n",
    "in the demo": "import clawver_orders.cli.walkthrough as c\nc.walk = broken\n",
}


def broken(where: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with a defect in one place."""
    code = (
        "import sys\n"
        "def broken_now(*_, **__): raise ZeroDivisionError('an example of a secret detail')\n"
        "async def broken(*_, **__): broken_now()\n"
        f"{BREAKS[where]}"
        "from clawver_orders.cli.main import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env=keyless() | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def without_detail(done: subprocess.CompletedProcess[str], kind: str = "ZeroDivisionError") -> str:
    """What is said last, after the log's lines about where it happened."""
    assert "Traceback" not in done.stderr
    assert "secret detail" not in done.stderr
    assert "ended in an error of its own" in done.stderr
    assert f"{kind}, raised in:" in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.fixture
def store(live: dict[str, str]) -> dict[str, str]:
    return live | {"CLAWVER_REFUND_APPROVAL": "agent"}


@pytest.fixture
def sale(shop: Shop) -> str:
    return str(shop.sell(total_in_cents=2499)["id"])


def test_a_defect_before_anything_was_sent_says_that_no_money_was_moved(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    done = broken("before anything is sent", "approve", refund_id, "--yes", **store)

    assert done.returncode == 1
    assert without_detail(done) == (
        "clawver-orders approve failed because of a defect in this program. It sent nothing, so no "
        "money was moved. The lines above say where it happened: report them."
    )
    assert posts(shop) == []
    assert run("approve", refund_id, "--yes", **store).returncode == 0


def test_a_defect_after_the_request_says_that_it_was_sent_and_where_to_look(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    where = "after the request, before its answer is noted"
    refund_id = previewed(store, sale)
    done = broken(where, "approve", refund_id, "--yes", **store)

    assert done.returncode == 3
    assert (
        f"$7.00 on {sale} was sent, and is sending in the ledger. Repeat nothing; look with: "
        f"clawver-orders refunds show {refund_id}"
    ) in without_detail(done)
    assert len(posts(shop)) == 1
    assert run("refunds", "check", **store).returncode == 0
    assert row(store, refund_id)["status"] == "refunded"


@pytest.mark.slow
def test_a_defect_when_all_is_over_says_what_became_of_it(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    earlier = previewed(store, sale, 300)
    run("approve", earlier, "--yes", **store)
    refund_id = previewed(store, sale)
    done = broken("after all is noted", "approve", refund_id, "--yes", **store)
    again = broken("after all is noted", "approve", refund_id, "--yes", **store)

    assert (done.returncode, again.returncode) == (0, 1)
    assert f"$7.00 on {sale} was sent, and is refunded in the ledger." in without_detail(done)
    assert "no money was moved" in without_detail(again)
    assert len(posts(shop)) == 2


@pytest.mark.slow
def test_trouble_with_a_file_is_not_taken_for_trouble_with_the_output(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    done = broken("in a file that is gone", "approve", refund_id, "--yes", **store)

    assert done.returncode == 0
    assert f"$7.00 on {sale} was sent" in without_detail(done, "FileNotFoundError")
    assert "The output could not be written" not in done.stderr
    assert len(posts(shop)) == 1


@pytest.mark.slow
def test_a_call_that_breaks_knows_as_much(store: dict[str, str], shop: Shop, sale: str) -> None:
    store |= {"CLAWVER_REFUND_APPROVAL": "off"}
    wanted = ("call", "refund_order", f"order_id={sale}", "amount_in_cents=700", "reason=Worn")
    unsent = broken("before anything is sent", *wanted, **store)
    unknown = broken("before anything is sent", "approve", "rfi_none", **store)
    sent = broken("after the request, before its answer is noted", *wanted, **store)

    assert (unsent.returncode, sent.returncode) == (1, 3)
    assert "no money was moved" in without_detail(unsent)
    assert f"$7.00 on {sale} was sent, and is sending in the ledger." in without_detail(sent)
    assert unknown.returncode == 1
    assert "holds no refund rfi_none" in unknown.stderr
    assert len(posts(shop)) == 1


@pytest.mark.slow
def test_where_even_the_ledger_is_broken_it_says_where_to_look(
    store: dict[str, str], shop: Shop, sale: str
) -> None:
    refund_id = previewed(store, sale)
    done = broken("in the ledger itself", "approve", refund_id, "--yes", **store)
    nobody = broken("in the ledger itself", "approve", "rfi_none", "--yes", **store)

    assert done.returncode == 3
    assert "the ledger could not be read" in done.stderr
    assert "Every refund that was sent is in the ledger" in without_detail(done)
    assert nobody.returncode == 1
    assert "no money was moved" in without_detail(nobody)
    assert posts(shop) == []


def test_a_webhook_that_may_be_registered_is_not_said_to_be_untouched(
    store: dict[str, str], shop: Shop
) -> None:
    store |= {"CLAWVER_WEBHOOK_SECRET": SECRET, "CLAWVER_WEBHOOK_HOSTS": "hooks.example"}
    called = ("call", "register_webhook", "url=https://hooks.example/", "events=order.paid")
    for words in ((*REGISTER, "--yes"), called):
        done = broken("where webhooks are registered", *words, **store)

        assert done.returncode == 3
        assert "It is not known whether a webhook was changed" in without_detail(done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "words", "code", "says"),
    [
        ("where refunds are listed", ("refunds",), 1, "no money was moved"),
        ("where the page starts", ("board", "--port", "0"), 3, "is in the ledger"),
        ("in the demo", ("demo",), 1, "no money was moved"),
    ],
)
def test_no_command_ends_in_a_traceback(
    store: dict[str, str], where: str, words: tuple[str, ...], code: int, says: str
) -> None:
    done = broken(where, *words, **store)

    assert done.returncode == code
    assert says in without_detail(done)
    assert f"clawver-orders {words[0]} failed because of a defect" in without_detail(done)


def test_what_a_person_types_wrong_is_no_defect(store: dict[str, str]) -> None:
    for words in (("--no-such-option",), ("no_such_command",), ("approve",)):
        done = run_process(*words, **store)

        assert done.returncode == 2
        assert "defect" not in done.stderr
