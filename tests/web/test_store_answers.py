"""What the views ask of the store together: once in five minutes."""

from collections import Counter

import anyio
import pytest
from tests.web.visitor import Room

from clawver_orders.errors import UnreachableError
from clawver_orders.orders.search import Found
from clawver_orders.web import store_answers
from clawver_orders.web.store_answers import Answered, StoreAnswers


def asked(room: Room) -> Counter[str]:
    """How often the store got each request."""
    return Counter(f"{each['path']}?{each['query']}" for each in room.shop.requests())


@pytest.fixture
def answers(room: Room) -> StoreAnswers:
    room.shop.forget_requests()
    return StoreAnswers(room.services)


async def test_all_who_look_at_once_share_one_set_of_requests(
    room: Room, answers: StoreAnswers
) -> None:
    found: list[Answered[Found]] = []

    async def look() -> None:
        found.append(await answers.lists.get())

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(look)
    (first, *others) = found

    assert set(asked(room).values()) == {1}
    assert first.value is not None
    assert len(first.value.orders) == len(room.shop.orders())
    assert (first.at, first.error) == (room.time.at, None)
    assert all(each is first for each in others)


async def test_it_is_asked_again_after_five_minutes_and_not_before(
    room: Room, answers: StoreAnswers
) -> None:
    first = await answers.lists.get()
    room.passes(seconds=299)
    assert await answers.lists.get() is first
    assert first.again_at > room.time.at
    room.passes(seconds=1)
    second = await answers.lists.get()

    assert second is not first
    assert (second.at, first.again_at) == (room.time.at, room.time.at)
    assert set(asked(room).values()) == {2}


async def test_a_store_that_does_not_answer_is_not_asked_more_often(
    room: Room, answers: StoreAnswers
) -> None:
    before = await answers.lists.get()
    room.passes(minutes=5)
    room.shop.forget_requests()
    room.shop.add_fault("status_before", times=-1, status=403)
    failed = await answers.lists.get()
    asked = len(room.shop.requests())
    for _ in range(5):
        assert await answers.lists.get() is failed

    assert failed.value is before.value
    assert (failed.at, failed.tried_at) == (before.at, room.time.at)
    assert failed.error is not None
    assert len(room.shop.requests()) == asked


async def test_nothing_is_known_of_a_store_that_never_answered(
    room: Room, answers: StoreAnswers
) -> None:
    room.shop.add_fault("status_before", times=-1, status=403)
    failed = await answers.lists.get()

    assert (failed.value, failed.at) == (None, None)
    assert failed.error is not None


async def test_a_person_does_not_wait_for_a_store_that_hangs(
    room: Room, answers: StoreAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_answers, "PATIENCE_SECONDS", 0.05)
    room.shop.add_fault("hang_before", times=-1, seconds=5)
    failed = await answers.lists.get()

    assert failed.error is not None
    assert "did not answer in time" in failed.error.happened


async def test_it_waits_for_nothing_longer_than_a_person_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_answers, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(store_answers, "ANSWER_SECONDS", 0.0)

    with pytest.raises(UnreachableError, match="did not answer in time"):
        await store_answers.within_patience(anyio.sleep_forever)
