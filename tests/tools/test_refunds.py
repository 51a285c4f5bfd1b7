"""Money goes back once. What the store recorded is the judge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from tests.conftest import Configure, Connect, folder_of
from tests.tools.test_tools import call, failure, one_order, shown

from clawver_orders.refunds.order_locks import OrderLocks
from clawver_orders.services import opened
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_sandbox.shop import Shop


def given_back(shop: Shop, order_id: str) -> list[int]:
    return [cents for order, cents in shop.refunds() if order == order_id]


def posts(shop: Shop) -> list[dict[str, Any]]:
    return [request for request in shop.requests() if request["method"] == "POST"]


class Time:
    """Both clocks of a machine, which only move when they are told to."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)
        self.up = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.up += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@asynccontextmanager
async def connected(settings: Settings, time: Time) -> AsyncIterator[Client]:
    server = build_server(settings, now=lambda: time.at, uptime=lambda: time.up)
    async with Client(server) as client:
        yield client


async def test_a_refund_reaches_the_store_once(connect: Connect, shop: Shop, era: str) -> None:
    sale = shop.sell(total_in_cents=2499)
    async with connect(era) as client:
        answer = await call(
            client, "refund_order", order_id=sale["id"], amount_in_cents=1000, reason="Smudged"
        )

    (refund,) = shop.order(sale["id"])["refunds"]
    assert answer["status"] == "refunded"
    assert answer["clawver_refund_id"] == refund["id"]
    assert answer["stripe_refund_id"] == refund["stripeRefundId"]
    assert (answer["refundable_in_cents"], answer["refundable"]) == (1499, "$14.99")
    assert refund["reason"] == "Smudged"
    assert given_back(shop, sale["id"]) == [1000]
    (sent,) = posts(shop)
    assert sent["idempotency_key"] == answer["refund_id"]
    assert answer["customer_sees_it"] == "1 to 5 business days after it was sent, through Stripe"
    assert answer["in_addition_to"] == [refund["id"]]


async def test_the_same_call_again_sends_nothing_whatever_its_reason(
    connect: Connect, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)
    async with connect() as client:
        first = await call(
            client, "refund_order", order_id=sale["id"], amount_in_cents=1000, reason="Smudged"
        )
        again = await call(
            client,
            "refund_order",
            order_id=sale["id"],
            amount_in_cents=1000,
            reason="Print was smudged",
        )

    assert again["status"] == "already_refunded"
    assert again["clawver_refund_id"] == first["clawver_refund_id"]
    assert given_back(shop, sale["id"]) == [1000]


async def test_a_further_refund_of_the_same_amount_names_all_earlier_ones(
    connect: Connect, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)
    wanted: dict[str, Any] = {"order_id": sale["id"], "amount_in_cents": 500, "reason": "Goodwill"}
    async with connect() as client:
        await call(client, "refund_order", **wanted)
        seen = (await call(client, "refund_order", **wanted))["in_addition_to"]
        second = await call(client, "refund_order", **wanted, in_addition_to=seen)
        replay = await call(client, "refund_order", **wanted, in_addition_to=seen)
        guess = await call(client, "refund_order", **wanted, in_addition_to=["ref_guess"])

    assert second["status"] == "refunded"
    assert (replay["status"], guess["status"]) == ("already_refunded", "already_refunded")
    assert given_back(shop, sale["id"]) == [500, 500]


async def test_a_list_may_arrive_as_json_text(connect: Connect, shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)
    wanted: dict[str, Any] = {"order_id": sale["id"], "amount_in_cents": 500, "reason": "Goodwill"}
    async with connect() as client:
        first = await call(client, "refund_order", **wanted, in_addition_to="[]")
        text = f'["{first["clawver_refund_id"]}"]'
        assert (await call(client, "refund_order", **wanted, in_addition_to=text))[
            "status"
        ] == "refunded"
        assert "must be a list" in await failure(
            client, "refund_order", **wanted, in_addition_to="[oops"
        )


async def test_named_refunds_that_are_none_are_an_error(connect: Connect, shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)
    async with connect() as client:
        text = await failure(
            client, "refund_order",
            order_id=sale["id"], amount_in_cents=500, reason="Goodwill", in_addition_to=["ref_guess"],
        )  # fmt: skip

    assert "No money was moved" in text
    assert given_back(shop, sale["id"]) == []


@pytest.mark.parametrize(
    ("order_id", "amount", "says"),
    [
        ("ord_shirt", 3201, "$32.00 (3200 cents) left to refund"),
        ("ord_shirt", 50_001, "CLAWVER_REFUND_LIMIT_CENTS"),
        ("ord_unpaid", 100, "neither paid nor partially_refunded"),
        ("ord_failed", 100, "neither paid nor partially_refunded"),
        ("ord_refunded", 1, "already refunded in full"),
        ("ord_nobody", 100, "Clawver knows no order ord_nobody"),
    ],
)
async def test_a_refund_that_cannot_be_is_never_sent(
    connect: Connect, shop: Shop, order_id: str, amount: int, says: str
) -> None:
    before = shop.refunds()
    async with connect() as client:
        text = await failure(
            client, "refund_order", order_id=order_id, amount_in_cents=amount, reason="Test"
        )

    assert says in text
    assert text.startswith("refund_order failed. No money was moved")
    assert shop.refunds() == before
    assert not [request for request in shop.requests() if request["method"] == "POST"]


LOST_BEFORE = ["drop_before", "hang_before", "status_before", "status_bare", "redirect"]
LOST_AFTER = [
    "drop_after", "hang_after", "status_after", "truncated", "garbage", "bare_success", "no_success",
    "not_an_object", "wrong_types", "huge", "no_refunds_listed", "foreign_order", "refunds_unreadable",
]  # fmt: skip


def patience(fault: str) -> float:
    """Short only where the store keeps silent: a busy machine is slow to connect."""
    return 0.8 if fault.startswith("hang") else 10.0


@pytest.mark.parametrize("fault", LOST_AFTER)
async def test_a_refund_whose_answer_was_lost_is_found_by_reading_the_order(
    connect: Connect, shop: Shop, fault: str
) -> None:
    sale = shop.sell(total_in_cents=2499)
    shop.add_fault(fault, method="POST", status=503, seconds=1.0)
    async with connect(timeout_seconds=patience(fault)) as client:
        answer = await call(
            client, "refund_order", order_id=sale["id"], amount_in_cents=700, reason="Smudged"
        )

    (refund,) = shop.order(sale["id"])["refunds"]
    assert answer["status"] == "refunded"
    assert answer["clawver_refund_id"] == refund["id"]
    assert answer["refundable_in_cents"] == 1799
    assert len(posts(shop)) == 1


@pytest.mark.parametrize("fault", LOST_BEFORE)
async def test_a_refund_that_does_not_show_is_unknown_and_nothing_is_sent_again(
    connect: Connect, shop: Shop, fault: str
) -> None:
    sale = shop.sell(total_in_cents=2499)
    wanted = {"order_id": sale["id"], "amount_in_cents": 700, "reason": "Smudged"}
    shop.add_fault(fault, method="POST", status=503, seconds=1.0)
    async with connect(timeout_seconds=patience(fault), refund_verify_seconds=90) as client:
        answer = await call(client, "refund_order", **wanted)
        again = await call(client, "refund_order", **wanted | {"reason": "Print came smudged"})
        other = await call(client, "refund_order", **wanted | {"amount_in_cents": 800})

    assert (answer["status"], again["status"], other["status"]) == ("unknown", "unknown", "busy")
    assert answer["refund_id"] == again["refund_id"] == other["refund_id"]
    assert "Do not repeat refund_order" in answer["next_step"]
    assert f"check_refund with refund_id {answer['refund_id']}" in answer["next_step"]
    assert (
        "another refund than this one of $8.00, which this call did not begin" in other["next_step"]
    )
    assert "call refund_order again with amount_in_cents 800" in other["next_step"]
    assert "did not begin" not in answer["next_step"] + again["next_step"]
    assert answer["check_after_seconds"] == 15
    assert "refundable_in_cents" not in answer
    assert len(posts(shop)) == 1
    assert given_back(shop, sale["id"]) == []


async def test_a_refusal_by_clawver_is_told_as_provisional(
    configure: Configure, shop: Shop, time: Time
) -> None:
    """Whatever refused a request may let it through later: until then a person decides."""
    sale = shop.sell(total_in_cents=2499)["id"]
    wanted = {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}
    shop.add_fault("status_before", method="POST", status=400)
    async with connected(configure(refund_approval="agent"), time) as client:
        asked = await call(client, "refund_order", **wanted)
        text = await failure(client, "confirm_refund", **shown(asked))
        at_once = await call(client, "refund_order", **wanted)
        held = await call(client, "confirm_refund", **shown(at_once))
        time.pass_by(901)
        after = await call(client, "refund_order", **wanted)
        sent = await call(client, "confirm_refund", **shown(after))

    assert text.startswith(
        "confirm_refund failed. Clawver refused this refund, and the order does not list it so far"
    )
    assert "No money was moved" not in text
    assert f"call refund_order again with order_id {sale}, amount_in_cents 700" in text
    assert f"clawver-orders approve {asked['refund_id']}" in text
    assert at_once["refund_id"] == after["refund_id"] == asked["refund_id"]
    assert at_once["status"] == held["status"] == after["status"] == "needs_approval"
    assert 0 < held["retry_after_seconds"] <= 900
    assert f"wait {held['retry_after_seconds']} seconds" in held["next_step"]
    assert "retry_after_seconds" not in after
    assert sent["status"] == "refunded"
    assert given_back(shop, sale) == [700]


@pytest.mark.parametrize("fault", ["refunds_unreadable", "foreign_order", "garbage"])
async def test_an_order_that_cannot_be_read_is_not_refunded(
    connect: Connect, shop: Shop, fault: str
) -> None:
    shop.add_fault(fault, method="GET", times=-1)
    async with connect() as client:
        text = await failure(
            client, "refund_order", order_id="ord_shirt", amount_in_cents=700, reason="Smudged"
        )

    assert "No money was moved" in text
    assert not [request for request in shop.requests() if request["method"] == "POST"]


async def test_read_only_cannot_refund(connect: Connect, shop: Shop) -> None:
    async with connect(read_only=True) as client:
        result = await client.call_tool(
            "refund_order", {"order_id": "ord_shirt", "amount_in_cents": 1, "reason": "x"}
        )

    assert result.is_error
    assert shop.requests() == []


async def test_a_call_that_is_cancelled_still_finishes_what_it_sent(
    connect: Connect, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)
    shop.add_fault("slow", method="POST", seconds=0.6)
    wanted = {"order_id": sale["id"], "amount_in_cents": 700, "reason": "Smudged"}
    async with connect("legacy") as client:
        with anyio.move_on_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "refund_order", wanted)
                while not [r for r in shop.requests() if r["method"] == "POST"]:
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
        again = await call(client, "refund_order", **wanted)

    assert again["status"] == "already_refunded"
    assert given_back(shop, sale["id"]) == [700]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429])
async def test_a_no_after_the_money_moved_is_not_believed(
    connect: Connect, shop: Shop, status: int
) -> None:
    sale = shop.sell(total_in_cents=2499)
    shop.add_fault("status_after", method="POST", status=status)
    async with connect() as client:
        answer = await call(
            client, "refund_order", order_id=sale["id"], amount_in_cents=700, reason="Smudged"
        )

    assert answer["status"] == "refunded"
    assert given_back(shop, sale["id"]) == [700]
    assert len(posts(shop)) == 1


async def test_a_request_that_was_delivered_twice_is_said_at_once(
    connect: Connect, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)
    shop.add_fault("duplicate", method="POST")
    async with connect() as client:
        answer = await call(
            client, "refund_order", order_id=sale["id"], amount_in_cents=700, reason="Smudged"
        )
        later = await call(client, "check_refund", refund_id=answer["refund_id"])

    ids = [refund["id"] for refund in shop.order(sale["id"])["refunds"]]
    assert len(ids) == 2
    for said in (answer, later):
        assert said["status"] == "refunded"
        assert all(each in said["warning"] for each in ids)
        assert "tell the merchant at once" in said["warning"]


async def test_a_refund_that_clawver_stops_listing_is_still_a_repeat(
    connect: Connect, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)
    wanted = {"order_id": sale["id"], "amount_in_cents": 700, "reason": "Smudged"}
    async with connect() as client:
        first = await call(client, "refund_order", **wanted)
        shop.add_fault("stale_read", method="GET", times=-1)
        again = await call(client, "refund_order", **wanted)

    assert again["status"] == "already_refunded"
    assert again["refund_id"] == first["refund_id"]
    assert again["in_addition_to"] == [first["clawver_refund_id"]]
    assert given_back(shop, sale["id"]) == [700]


async def test_a_refund_that_somebody_else_made_is_a_repeat_too(
    connect: Connect, shop: Shop
) -> None:
    amount = shop.order("ord_partly_refunded")["refunds"][0]["amountInCents"]
    async with connect() as client:
        answer = await call(
            client,
            "refund_order",
            order_id="ord_partly_refunded",
            amount_in_cents=amount,
            reason="x",
        )

    assert answer["status"] == "already_refunded"
    assert "refund_id" not in answer
    assert posts(shop) == []


async def test_not_listed_counts_only_after_the_window_and_two_reads(
    configure: Configure, shop: Shop, time: Time
) -> None:
    sale = shop.sell(total_in_cents=2499)
    wanted = {"order_id": sale["id"], "amount_in_cents": 700, "reason": "Smudged"}
    shop.add_fault("drop_before", method="POST")
    seen = []
    async with connected(configure(), time) as client:
        answer = await call(client, "refund_order", **wanted)
        check = {"refund_id": answer["refund_id"]}
        for seconds in (890, 20, 1, 15):
            time.pass_by(seconds)
            seen.append(await call(client, "check_refund", **check))
        again = await call(client, "refund_order", **wanted)

    assert [each["status"] for each in seen] == ["unknown", "unknown", "unknown", "not_recorded"]
    assert [each.get("check_after_seconds") for each in seen] == [10, 15, 15, None]
    assert again["status"] == "not_recorded"
    assert again["in_addition_to"] == [answer["refund_id"]]
    assert "knowing that the first attempt could still show late" in again["next_step"]
    assert len(posts(shop)) == 1


async def given_up(client: Client, shop: Shop, time: Time, **wanted: Any) -> dict[str, Any]:
    """A refund that was sent, got lost, and did not show in time."""
    shop.add_fault("drop_before", method="POST")
    answer = await call(client, "refund_order", **wanted)
    for _ in range(2):
        time.pass_by(901)
        answer = await call(client, "check_refund", refund_id=answer["refund_id"])
    assert answer["status"] == "not_recorded"
    return answer


@pytest.mark.slow
async def test_trying_again_after_not_recorded_names_the_attempt(
    configure: Configure, shop: Shop, time: Time
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    wanted = {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}
    async with connected(configure(), time) as client:
        first = await given_up(client, shop, time, **wanted)
        second = await call(
            client, "refund_order", **wanted, in_addition_to=first["in_addition_to"]
        )
        shop.refund(sale, 700, "Smudged")  # the first one lands after all
        late = await call(client, "check_refund", refund_id=first["refund_id"])
        both = await call(client, "check_refund", refund_id=second["refund_id"])

    assert second["status"] == late["status"] == both["status"] == "refunded"
    assert late["clawver_refund_id"] != second["clawver_refund_id"]
    ids = {late["clawver_refund_id"], second["clawver_refund_id"]}
    for told in (late, both):
        assert "2 refunds of this amount are new on the order" in told["warning"]
        assert all(each in told["warning"] for each in ids)
    assert len(posts(shop)) == 2


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"refund_id": "rfi_nobody"}, "holds no refund rfi_nobody"),
        ({"order_id": "ord_shirt"}, "holds no refund of order ord_shirt"),
        ({}, "give either refund_id or order_id"),
        ({"order_id": "ord_shirt", "refund_id": "rfi_1"}, "give either refund_id or order_id"),
    ],
)
async def test_checking_what_is_not_known_says_so(
    connect: Connect, wanted: dict[str, str], says: str
) -> None:
    async with connect() as client:
        assert says in await failure(client, "check_refund", **wanted)


async def test_a_refused_refund_is_told_as_refused_later_too(
    configure: Configure, shop: Shop, time: Time
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    shop.add_fault("status_before", method="POST", status=400)
    async with connected(configure(), time) as client:
        await failure(client, "refund_order", order_id=sale, amount_in_cents=700, reason="Smudged")
        soon = await failure(client, "check_refund", order_id=sale)
        time.pass_by(901)
        later = await failure(client, "check_refund", order_id=sale)

    assert "the order does not list it so far" in soon
    assert "It could still take effect for 900 seconds. Wait that long" in soon
    assert "No money was moved: Clawver refused $7.00" in later
    for text in (soon, later):
        assert f"call refund_order again with order_id {sale}, amount_in_cents 700" in text


async def test_no_more_goes_back_in_a_day_than_the_limit(
    configure: Configure, shop: Shop, time: Time
) -> None:
    orders = [shop.sell(total_in_cents=2499)["id"] for _ in range(4)]
    wanted = {"amount_in_cents": 1000, "reason": "Recall"}
    async with connected(configure(refund_daily_limit_in_cents=2000), time) as client:
        await call(client, "refund_order", order_id=orders[0], **wanted)
        shop.add_fault("drop_before", method="POST")
        await call(client, "refund_order", order_id=orders[1], **wanted)
        text = await failure(client, "refund_order", order_id=orders[2], **wanted)
        time.pass_by(86_401)
        later = await call(client, "refund_order", order_id=orders[2], **wanted)

    assert (
        "No money was moved: $20.00 (2000 cents) was refunded, or may still be, in the last 24 hours"
        in text
    )
    assert "CLAWVER_REFUND_DAILY_LIMIT_CENTS" in text
    assert later["status"] == "refunded"
    assert len(posts(shop)) == 3


@pytest.mark.slow
async def test_another_call_on_the_same_order_waits_and_then_says_busy(
    connect: Connect, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    wanted = {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}
    shop.add_fault("hang_after", method="POST", seconds=4.5)
    async with connect() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "refund_order", wanted)
        while not posts(shop):
            await anyio.sleep(0.01)
        other = await call(client, "refund_order", **wanted)
        looked = await call(client, "check_refund", order_id=sale)

    assert other["status"] == "busy"
    assert other["refund_id"] == looked["refund_id"]
    assert f"check_refund with refund_id {other['refund_id']}" in other["next_step"]
    assert "did not begin" not in other["next_step"]
    assert looked["status"] in {"busy", "refunded"}
    assert given_back(shop, sale) == [700]


async def test_an_order_that_somebody_works_on_is_left_alone(
    configure: Configure, connect: Connect, shop: Shop
) -> None:
    wanted = {"order_id": "ord_shirt", "amount_in_cents": 700, "reason": "Smudged"}
    locks = OrderLocks(folder_of(configure()) / "locks")
    async with connect() as client, locks.held("ord_shirt", 0):
        said = await call(client, "refund_order", **wanted)

    assert said["status"] == "busy"
    assert said["message"] == "Nothing was sent: another refund call is at work on ord_shirt."
    assert "check_refund with order_id ord_shirt" in said["next_step"]
    assert "did not begin" not in said["next_step"]
    assert shop.requests() == []


async def test_a_ledger_that_breaks_after_the_request_left_is_said(
    configure: Configure, connect: Connect, shop: Shop
) -> None:
    wanted = {"order_id": "ord_shirt", "amount_in_cents": 700, "reason": "Smudged"}
    said: list[dict[str, Any]] = []
    shop.add_fault("slow", method="POST", seconds=0.5)
    async with connect() as client:

        async def refund() -> None:
            said.append(await call(client, "refund_order", **wanted))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refund)
            while not posts(shop):
                await anyio.sleep(0.01)
            (folder_of(configure()) / "ledger.sqlite3").write_bytes(b"broken")

    (answer,) = said
    assert answer["status"] == "refunded"
    assert answer["warning"].startswith("The refund ledger could not be written after the request")
    assert given_back(shop, "ord_shirt") == [700]


async def test_a_refund_left_open_is_looked_up_at_the_next_start(
    configure: Configure, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    settings = configure()
    shop.add_fault("drop_before", method="POST")
    async with Client(build_server(settings)) as client:
        lost = await call(
            client, "refund_order", order_id=sale, amount_in_cents=700, reason="Smudged"
        )
    assert lost["status"] == "unknown"
    shop.refund(sale, 700, "Smudged")

    async with opened(settings) as services, Client(build_server(settings)):
        with anyio.fail_after(10):
            while await (await services.store()).ledger.all_open():
                await anyio.sleep(0.01)
        (found,) = await (await services.store()).ledger.latest(1000)

    assert found.status == "refunded"
    assert found.clawver_refund_id == shop.order(sale)["refunds"][0]["id"]


@pytest.mark.parametrize("fault", ["garbage", "status_bare"])
async def test_a_start_survives_a_store_that_does_not_answer(
    configure: Configure, shop: Shop, fault: str
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    settings = configure(refund_verify_seconds=1)
    shop.add_fault("drop_before", method="POST")
    async with Client(build_server(settings)) as client:
        await call(client, "refund_order", order_id=sale, amount_in_cents=700, reason="Smudged")
    shop.add_fault(fault, method="GET", times=1, status=400)
    before = len(shop.requests())

    async with Client(build_server(settings)) as client:
        with anyio.fail_after(10):
            while len(shop.requests()) == before:
                await anyio.sleep(0.01)
        assert await one_order(client, order_id="ord_shirt")


async def test_a_refund_that_never_left_moved_nothing(
    connect: Connect, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sale = shop.sell(total_in_cents=2499)
    async with connect() as client:
        real = httpx2.AsyncClient.send

        async def refuse_posts(
            self: httpx2.AsyncClient, request: httpx2.Request, **how: Any
        ) -> httpx2.Response:
            if request.method == "POST":
                request.url = request.url.copy_with(port=1)
            return await real(self, request, **how)

        monkeypatch.setattr(httpx2.AsyncClient, "send", refuse_posts)
        text = await failure(
            client, "refund_order", order_id=sale["id"], amount_in_cents=700, reason="Smudged"
        )

    assert text.startswith("refund_order failed. No money was moved.")
    assert "never left" in text
    assert given_back(shop, sale["id"]) == []


async def test_an_open_refund_is_told_wherever_money_is_spoken_of(
    connect: Connect, shop: Shop
) -> None:
    shop.add_fault("drop_before", method="POST")
    wanted = {"order_id": "ord_shirt", "amount_in_cents": 700, "reason": "Smudged"}
    async with connect(refund_verify_seconds=90) as client:
        before = await call(client, "summarize_orders")
        lost = await call(client, "refund_order", **wanted)
    look = f"call check_refund with refund_id {lost['refund_id']}"
    async with connect(refund_verify_seconds=90, read_only=True) as client:  # a new session
        order = await one_order(client, order_id="ord_shirt")
        other = await one_order(client, order_id="ord_mixed")
        sizes = await call(client, "handle_wrong_size", order_id="ord_shirt")
        check = await call(client, "summarize_orders", created_before="2001-01-01")

    assert lost["status"] == "unknown"
    assert (
        f"The outcome of a refund of $7.00 on this order is not known yet: {look}"
        in order["next_step"]
    )
    assert not {"refundable_in_cents", "refundable"} & {*order, *sizes}
    assert look in sizes["next_step"]
    assert "next_step" not in other
    assert "open_refunds" not in before
    (opened,) = check["open_refunds"]
    assert opened["refund_id"] == lost["refund_id"]
    assert (opened["order_id"], opened["amount"]) == ("ord_shirt", "$7.00")
    assert opened["sent_at"].endswith(("0 minutes ago", "1 minute ago"))
    assert look in check["next_step"]


async def test_orders_are_read_beside_a_damaged_ledger(
    configure: Configure, connect: Connect
) -> None:
    folder = folder_of(configure())
    folder.mkdir(parents=True)
    (folder / "ledger.sqlite3").write_text("no ledger")
    async with connect() as client:
        read = await call(client, "get_order", order_id="ord_shirt,ord_mixed")
        sizes = await call(client, "handle_wrong_size", order_id="ord_shirt")
        check = await call(client, "summarize_orders")

    assert all(order["items"] for order in read["orders"])
    for each in (*read["orders"], sizes):
        assert not {"refundable_in_cents", "refundable"} & each.keys()
    assert "open_refunds" not in check
    for said in (read["next_step"], sizes["next_step"], check["next_step"]):
        assert (
            "the refund ledger cannot be read now: ask a person to run clawver-orders doctor"
            in said
        )
