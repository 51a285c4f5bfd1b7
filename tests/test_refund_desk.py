"""The corners of the refund desk: races within a call, a store or a ledger that fails half way."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolRequestParams, ElicitResult, InputRequiredResult, ListRootsResult
from tests.conftest import Configure, succeeding, telling
from tests.test_approvals import YES, Asked, AtTheTerminal, host
from tests.test_refunds import given_back, posts
from tests.test_tools import call, failure

from clawver_orders.approvals import Question, Reply, Script
from clawver_orders.errors import RefusedError
from clawver_orders.services import Services, opened
from clawver_orders.serving.asking import HostCaller
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_orders.settling import Bounds
from clawver_orders.state.ledger import Intent, Trace
from clawver_orders.state.locks import OrderLocks
from clawver_sandbox.shop import API_KEY, Shop

HURRIED = Bounds(lock=0.2, read=0.5, send=2.0, look=1.0)


@pytest.fixture
def sale(shop: Shop) -> str:
    return str(shop.sell(total_in_cents=2499)["id"])


def hurry(services: Services) -> None:
    services.desk._bounds = services.desk._settling._bounds = HURRIED


async def test_a_preview_that_is_settled_while_it_is_declined_says_how_it_stands(
    services: Services, sale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, decline = services.ledger, services.ledger.decline
    asking = Settings.model_copy(services.settings, update={"refund_approval": "ask"})
    services.desk._settings = asking
    waiting = await services.desk.refund(sale, 700, "Smudged", (), Script())
    assert waiting.intent is not None

    def too_late(refund_id: str, **how: Any) -> Intent:
        ledger.expire(refund_id, "meanwhile", **how)
        return decline(refund_id, **how)

    monkeypatch.setattr(ledger, "decline", too_late)
    with pytest.raises(RefusedError, match="can no longer be declined: it is expired"):
        await services.desk.decline(waiting.intent.refund_id, Trace("test"))


async def test_an_order_that_somebody_works_on_is_left_alone(
    configure: Configure, services: Services, shop: Shop, sale: str
) -> None:
    hurry(services)
    locks = OrderLocks(services.settings.store_dir / "locks")
    async with locks.held(sale, 0):
        outcome = await services.desk.refund(sale, 700, "Smudged", (), Script())
        async with host(configure()) as client:
            said = await call(
                client, "refund_order", order_id=sale, amount_in_cents=700, reason="Smudged"
            )

    assert (outcome.status, outcome.intent) == ("busy", None)
    assert said["message"] == f"Nothing was sent: another refund call is at work on {sale}."
    assert f"check_refund with order_id {sale}" in said["next_step"]
    assert shop.requests() == []


async def test_a_refund_somebody_works_on_is_not_looked_up_a_second_time(
    services: Services, shop: Shop, sale: str
) -> None:
    hurry(services)
    shop.add_fault("drop_before", method="POST")
    lost = await services.desk.refund(sale, 700, "Smudged", (), Script())
    assert lost.intent is not None
    before = len(shop.requests())
    locks = OrderLocks(services.settings.store_dir / "locks")
    async with locks.held(sale, 0):
        await services.desk.recover()
        looked = await services.desk.check(lost.intent.refund_id)

    assert lost.status == "unknown"
    assert looked.status == "busy"
    assert len(shop.requests()) == before


async def test_a_yes_that_finds_the_order_busy_sends_nothing(
    configure: Configure, shop: Shop, sale: str
) -> None:
    locks = OrderLocks(configure().store_dir / "locks")
    async with opened(configure(refund_approval="ask")) as services:
        hurry(services)

        class Slow(AtTheTerminal):
            async def ask(self, question: Question) -> Reply:  # noqa: ARG002  # the answer is known
                await stack.enter_async_context(locks.held(sale, 0))
                return Reply.YES

        async with AsyncExitStack() as stack:
            outcome = await services.desk.refund(sale, 700, "Smudged", (), Slow())
        again = await services.desk.refund(sale, 700, "Smudged", (), AtTheTerminal())

    assert (outcome.status, again.status) == ("busy", "refunded")
    assert given_back(shop, sale) == [700]


async def test_a_limit_that_is_reached_at_the_last_moment_holds(
    services: Services, shop: Shop, sale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = services.settings.model_copy(update={"refund_daily_limit_in_cents": 600})
    services.desk._settling._settings = small
    with pytest.raises(RefusedError, match="CLAWVER_REFUND_DAILY_LIMIT_CENTS"):
        await services.desk.refund(sale, 700, "Smudged", (), Script())

    assert posts(shop) == []


async def test_a_preview_that_is_declined_at_the_last_moment_is_not_sent(
    services: Services, shop: Shop, sale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, begin_send = services.ledger, services.ledger.begin_send

    def too_late(refund_id: str, *how: Any, **more: Any) -> Intent:
        ledger.decline(refund_id, now=more["now"], trace=more["trace"])
        return begin_send(refund_id, *how, **more)

    monkeypatch.setattr(ledger, "begin_send", too_late)
    outcome = await services.desk.refund(sale, 700, "Smudged", (), Script())

    assert outcome.status == "declined"
    assert posts(shop) == []


async def test_a_check_while_the_store_is_away_still_tells_what_the_ledger_knows(
    configure: Configure, shop: Shop, sale: str
) -> None:
    async with host(configure(timeout_seconds=0.3)) as client:
        shop.add_fault("drop_before", method="POST")
        lost = await call(
            client, "refund_order", order_id=sale, amount_in_cents=700, reason="Smudged"
        )
        shop.add_fault("status_bare", method="GET", times=-1, status=400)
        checked = await call(client, "check_refund", refund_id=lost["refund_id"])

    assert checked["status"] == "unknown"
    assert checked["refund_id"] == lost["refund_id"]


async def test_an_order_that_does_not_answer_in_time_is_not_refunded(
    services: Services, shop: Shop, sale: str
) -> None:
    hurry(services)
    shop.add_fault("hang_before", method="GET", seconds=3)
    with pytest.raises(Exception, match=r"No money was moved\. Clawver did not answer in time"):
        await services.desk.refund(sale, 700, "Smudged", (), Script())

    assert posts(shop) == []


def order(*refunds: str) -> dict[str, Any]:
    return {
        "id": "ord_1", "status": "delivered", "totalInCents": 2400, "createdAt": "2026-11-24T00:00:00Z",
        "paymentStatus": "partially_refunded" if refunds else "paid",
        "refunds": [{"id": each, "amountInCents": 700, "reason": "x"} for each in refunds],
    }  # fmt: skip


REFUND = {"order_id": "ord_1", "amount_in_cents": 700, "reason": "x"}


@pytest.mark.parametrize("look", [(b"", b"gone"), succeeding({"order": order()})])
async def test_a_clear_yes_stands_whatever_the_look_after_it_shows(
    tmp_path: Path, look: tuple[bytes, bytes]
) -> None:
    answers = [
        succeeding({"order": order()}), succeeding({"order": order("ref_1")}), look, look, look,
    ]  # fmt: skip
    async with telling(lambda _: answers.pop(0)) as url:
        settings = Settings(api_key=API_KEY, api_url=url, state_dir=tmp_path, refund_approval="off")
        async with Client(build_server(settings)) as client:
            said = await call(client, "refund_order", **REFUND)

    assert said["status"] == "refunded"
    assert said["clawver_refund_id"] == "ref_1"
    assert len(answers) == 2


async def test_a_no_to_an_order_that_changed_meanwhile_is_unknown(tmp_path: Path) -> None:
    refusal = (
        b"X-Status: 400",
        json.dumps({"success": False, "error": {"code": "VALIDATION_ERROR"}}).encode(),
    )
    changed = order() | {"paymentStatus": "refunded"}
    answers = [succeeding({"order": order()}), refusal, *[succeeding({"order": changed})] * 3]
    async with telling(lambda _: answers.pop(0)) as url:
        settings = Settings(
            api_key=API_KEY,
            api_url=url,
            state_dir=tmp_path,
            refund_approval="off",
            refund_settle_seconds=9,
        )
        async with Client(build_server(settings)) as client:
            said = await call(client, "refund_order", **REFUND)

    assert said["status"] == "unknown"
    assert answers == []


async def test_a_ledger_that_breaks_after_the_request_left_does_not_hide_the_truth(
    configure: Configure, shop: Shop, sale: str
) -> None:
    settings = configure()
    said: list[dict[str, Any]] = []
    shop.add_fault("slow", method="POST", seconds=1.0)

    async def refund(client: Client) -> None:
        said.append(
            await call(client, "refund_order", order_id=sale, amount_in_cents=700, reason="Smudged")
        )

    async with host(settings) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refund, client)
            while not posts(shop):
                await anyio.sleep(0.01)
            (settings.store_dir / "ledger.sqlite3").write_bytes(b"broken")
        text = await failure(
            client, "refund_order", order_id=sale, amount_in_cents=800, reason="More"
        )
        await call(client, "get_order", order_id=sale)

    (answer,) = said
    assert answer["status"] == "refunded"
    assert "The refund ledger could not be written" in answer["warning"]
    assert text.startswith("refund_order failed. No money was moved.")
    assert "damaged" in text
    assert given_back(shop, sale) == [700]


async def test_an_answer_of_another_kind_is_no_yes(
    configure: Configure, shop: Shop, sale: str
) -> None:
    wanted = {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}
    async with host(configure(refund_approval="ask"), person=Asked()) as client:
        first = await client.session.call_tool("refund_order", wanted, allow_input_required=True)
        assert isinstance(first, InputRequiredResult)
        (refund_id,) = first.input_requests or {}
        answers: dict[str, Any] = {refund_id: ListRootsResult(roots=[])}
        result = await client.session.call_tool(
            "refund_order", wanted, input_responses=answers, request_state=first.request_state
        )

    assert result.structured_content["status"] == "needs_confirmation"
    assert posts(shop) == []


def test_a_host_without_a_name_is_called_so() -> None:
    context: Any = SimpleNamespace(session=SimpleNamespace(client_params=None))

    assert HostCaller(context, CallToolRequestParams(name="x")).client == "unnamed client"


async def test_nobody_answers_a_script() -> None:
    assert await Script().ask(Question("rfi_1", "?")) is Reply.UNANSWERED
    assert isinstance(YES, ElicitResult)


async def test_a_repeat_is_told_as_one_even_where_the_order_cannot_be_read(
    configure: Configure, shop: Shop, sale: str
) -> None:
    wanted = {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}
    async with host(configure(timeout_seconds=0.3)) as client:
        done = await call(client, "refund_order", **wanted | {"amount_in_cents": 500})
        shop.add_fault("drop_after", method="POST")
        shop.add_fault("stale_read", method="GET", times=5)
        lost = await call(client, "refund_order", **wanted)
        shop.clear_faults()
        shop.add_fault("status_bare", method="GET", times=-1, status=400)
        again = await call(client, "refund_order", **wanted)
        other = await call(client, "refund_order", **wanted | {"amount_in_cents": 600})
        shop.clear_faults()
        await call(client, "check_refund", refund_id=lost["refund_id"])
        shop.add_fault("status_bare", method="GET", times=-1, status=400)
        settled = await call(client, "refund_order", **wanted)
        unread = await failure(client, "refund_order", **wanted | {"amount_in_cents": 600})

    assert (lost["status"], again["status"], other["status"]) == ("unknown", "unknown", "busy")
    assert again["refund_id"] == other["refund_id"] == lost["refund_id"]
    assert settled["status"] == "already_refunded"
    assert settled["in_addition_to"] == [settled["clawver_refund_id"]]
    assert "No money was moved" in unread
    assert given_back(shop, sale) == [500, 700]
    assert done["status"] == "refunded"
