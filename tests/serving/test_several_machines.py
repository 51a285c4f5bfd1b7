"""Servers of two machines, with separate state folders and one database, as hosts meet them."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, InputRequiredResult
from tests.conftest import Configure
from tests.postgres import Schemas
from tests.serving.test_card import chat, click, on_card
from tests.serving.test_elicitation import DECLINE, YES, Asked, host
from tests.tools.test_refunds import Time, posts
from tests.tools.test_tools import call, failure, shown

from clawver_orders.errors import UnreachableError
from clawver_orders.settings import Settings
from clawver_orders.storage import keys
from clawver_sandbox.shop import Shop

SEAL_KEY = "seal-key-example-0123456789-abcdef"
WANTED = {"order_id": "ord_shirt", "amount_in_cents": 700, "reason": "Torn"}


@pytest.fixture
def machine(configure: Configure, shop: Shop, tmp_path: Path, schemas: Schemas) -> Any:
    """Settings of a machine by its name."""
    return schemas.machine(configure, tmp_path, shop.details()["id"])


async def asked_by(client: Client) -> InputRequiredResult:
    first = await client.session.call_tool("refund_order", WANTED, allow_input_required=True)
    assert isinstance(first, InputRequiredResult)
    return first


async def answered(
    client: Client, question: InputRequiredResult, answer: ElicitResult
) -> dict[str, Any]:
    (refund_id,) = question.input_requests or {}
    answers: dict[str, Any] = {refund_id: answer}
    result = await client.session.call_tool(
        "refund_order", WANTED, input_responses=answers, request_state=question.request_state
    )
    assert isinstance(result, CallToolResult)
    assert result.structured_content is not None
    told: dict[str, Any] = result.structured_content
    return told


@asynccontextmanager
async def pending(
    one: Settings, two: Settings, seconds: float = 4.0
) -> AsyncIterator[tuple[InputRequiredResult, Client]]:
    """A question of one machine, and the host of another one some seconds later."""
    time = Time()
    async with (
        host(one, person=Asked(), time=time) as first,
        host(two, person=Asked(), time=time) as second,
    ):
        question = await asked_by(first)
        time.pass_by(seconds)
        yield question, second


def sealing_files(folder: Path) -> list[Path]:
    return list(folder.rglob("questions.key"))


@pytest.mark.parametrize(("answer", "status"), [(YES, "refunded"), (DECLINE, "declined")])
async def test_a_question_of_one_machine_is_answered_through_another(
    machine: Any, shop: Shop, tmp_path: Path, answer: ElicitResult, status: str
) -> None:
    one, two = (machine(each, refund_approval="chat") for each in ("one", "two"))

    async with pending(one, two) as (question, other):
        told = await answered(other, question, answer)

    assert told["status"] == status
    assert shop.refunds() == ([("ord_shirt", 700)] if answer is YES else [])
    assert not sealing_files(tmp_path)


async def test_an_answer_that_came_at_once_through_another_machine_is_no_persons(
    machine: Any, shop: Shop
) -> None:
    one, two = (machine(each, refund_approval="chat") for each in ("one", "two"))
    async with pending(one, two, seconds=0.5) as (question, other):
        told = await answered(other, question, YES)

    assert told["status"] == "needs_approval"
    assert posts(shop) == []


@pytest.mark.parametrize("shares", ["the setting", "nothing", "the database"])
async def test_the_setting_has_precedence_over_what_the_database_keeps(
    machine: Any, shop: Shop, tmp_path: Path, shares: str
) -> None:
    keys_ = {"the setting": (SEAL_KEY, SEAL_KEY), "nothing": (SEAL_KEY, f"{SEAL_KEY}2")}
    first, second = keys_.get(shares, (SEAL_KEY, None))
    one = machine("one", refund_approval="chat", seal_key=first)
    two = machine("two", refund_approval="chat", seal_key=second)

    async with pending(one, two) as (question, other):
        if shares == "the setting":
            assert (await answered(other, question, YES))["status"] == "refunded"
        else:
            with pytest.raises(MCPError, match="Invalid or expired requestState"):
                await answered(other, question, YES)

    assert len(posts(shop)) == (1 if shares == "the setting" else 0)
    assert not sealing_files(tmp_path)


async def test_without_a_shared_key_a_question_of_another_machine_is_refused(
    configure: Configure, shop: Shop, tmp_path: Path
) -> None:
    one, two = (
        configure(state_dir=tmp_path / each, refund_approval="chat") for each in ("one", "two")
    )

    async with pending(one, two) as (question, other):
        with pytest.raises(MCPError, match="Invalid or expired requestState"):
            await answered(other, question, YES)

    assert posts(shop) == []


async def test_where_the_key_cannot_be_read_whoever_asked_hears_the_answer(
    machine: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise UnreachableError("The database cannot be reached.", next_step="Wait.")

    monkeypatch.setattr(keys, "_kept_row", away)
    settings = machine("one", refund_approval="chat")
    time = Time()
    async with host(settings, person=Asked(), time=time) as client:
        with caplog.at_level(logging.WARNING):
            question = await asked_by(client)
            time.pass_by(4.0)
            answer = await answered(client, question, YES)

    assert answer["status"] == "refunded"
    assert "the key of questions can't be read, so maybe no other process hears" in caplog.text
    assert settings.database_url.get_secret_value() not in caplog.text
    assert shop.refunds() == [("ord_shirt", 700)]


async def test_before_questions_were_answers_a_person_is_asked_by_one_machine_alone(
    machine: Any, shop: Shop
) -> None:
    one, two = (machine(each, refund_approval="agent") for each in ("one", "two"))
    meanwhile: list[dict[str, Any]] = []

    async def slow(_: ClientRequestContext, __: ElicitRequestParams) -> ElicitResult:
        async with host(two, "legacy") as other:
            meanwhile.append(await call(other, "refund_order", **WANTED))
            held = {"refund_id": meanwhile[0]["refund_id"], "revision": 1}
            meanwhile.append(await call(other, "confirm_refund", **held))
        return YES

    async with host(one, "legacy", slow) as client:
        answer = await call(client, "refund_order", **WANTED)

    assert [each["status"] for each in meanwhile] == ["busy", "busy"]
    assert answer["status"] == "refunded"
    assert shop.refunds() == [("ord_shirt", 700)]


async def test_a_preview_of_one_machine_is_confirmed_through_another(
    machine: Any, shop: Shop, era: str
) -> None:
    one, two = (machine(each, refund_approval="agent") for each in ("one", "two"))
    async with host(one, era) as first, host(two, era) as second:
        preview = await call(first, "refund_order", **WANTED)
        confirmed = [await call(each, "confirm_refund", **shown(preview)) for each in (second, first)]  # fmt: skip

    assert [each["status"] for each in confirmed] == ["refunded", "refunded"]
    assert len(posts(shop)) == 1


def test_the_key_stands_in_no_repr(machine: Any) -> None:
    assert SEAL_KEY not in repr(machine("one", seal_key=SEAL_KEY))


@pytest.mark.parametrize(
    ("approve", "seconds", "status"),
    [(True, 2.0, "refunded"), (False, 2.0, "declined"), (True, 0.5, "needs_approval")],
)
async def test_a_card_of_one_machine_is_decided_through_another_and_once(
    machine: Any, shop: Shop, approve: bool, seconds: float, status: str
) -> None:
    one, two = (machine(each, refund_approval="chat") for each in ("one", "two"))
    time = Time()
    async with chat(one, time=time) as first, chat(two, time=time) as second:
        asked = await call(first, "refund_order", **WANTED)
        answer, own = await on_card(first, asked["refund_id"])
        time.pass_by(seconds)
        clicked = click(answer, own["nonce"], approve=approve)
        done = await call(second, "decide_refund", **clicked)
        again = [await failure(each, "decide_refund", **clicked) for each in (first, second)]

    assert done["status"] == status
    assert ["this click was counted before" in each for each in again] == [True, True]
    assert shop.refunds() == ([("ord_shirt", 700)] if status == "refunded" else [])
