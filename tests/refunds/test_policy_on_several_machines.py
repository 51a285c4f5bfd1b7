"""Machines with different refund policies: what one of them showed, the other doesn't let go."""

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Configure
from tests.postgres import Schemas
from tests.refunds.room import AskingHost, Terminal

from clawver_orders.caller import Reply, Script
from clawver_orders.cli.refunds import _as_json
from clawver_orders.errors import RefusedError
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.policy_file import read_policy
from clawver_orders.refunds.records import Wish
from clawver_orders.services import Services, opened
from clawver_sandbox.shop import Shop

Brings = tuple[Services, AskingHost]


@pytest.fixture
def machine(configure: Configure, shop: Shop, tmp_path: Path, schemas: Schemas) -> Any:
    """Settings of a machine by its name and the rules of its policy; "" for none."""
    of = schemas.machine(configure, tmp_path, shop.details()["id"])

    def with_policy(name: str, rules: str = "", **changed: Any) -> Any:
        path = tmp_path / f"{name}.toml"
        path.write_text(f"[refund]\n{rules}\n", "utf-8")
        policy = {"refund_policy": path} if rules else {}
        return of(name, **{"refund_approval": "agent"} | policy | changed)

    return with_policy


async def wanted(services: Services, caller: Any = None) -> Outcome:
    desk = (await services.store()).desk
    return await desk.refund("ord_shirt", 700, "Torn", [], caller or Script())


async def confirmed(services: Services, wish: Wish) -> Outcome:
    return await (await services.store()).desk.confirm(wish.refund_id, wish.revision, Script())


def wish_of(outcome: Outcome) -> Wish:
    assert outcome.wish is not None
    return outcome.wish


def digest(services: Services) -> str:
    path = services.settings.refund_policy
    return read_policy(path).digest if path else ""


@pytest.mark.parametrize(
    ("first", "second"),
    [("window_days = 30", "window_days = 60"), ("window_days = 30", ""), ("", "window_days = 60")],
)
async def test_what_was_shown_under_another_policy_is_not_sent_and_both_are_named(
    machine: Any, shop: Shop, first: str, second: str
) -> None:
    async with opened(machine("one", first)) as one, opened(machine("two", second)) as two:
        wish = wish_of(await wanted(one))
        with pytest.raises(RefusedError) as raised:
            await confirmed(two, wish)
        assert shop.refunds() == []
        names = [f"the refund policy {digest(each)}" if digest(each) else "no refund policy" for each in (one, two)]  # fmt: skip
        assert str(raised.value) == (
            f"No money was moved. The refund {wish.refund_id} was shown under {names[0]}, and this server has {names[1]}. A "
            "person must give all servers of this store the same file in CLAWVER_REFUND_POLICY. Then call "
            "refund_order: it shows the refund again."
        )
        assert _as_json(wish, one)["refund_policy"] == (digest(one) or None)
        sent = await confirmed(one, wish)
        assert sent.status == "refunded", (wish, sent.wish)

    assert shop.refunds() == [("ord_shirt", 700)]


async def test_an_answer_to_what_was_shown_under_another_policy_sends_nothing(
    machine: Any, shop: Shop
) -> None:
    async with (
        opened(machine("one", "window_days = 30")) as one,
        opened(machine("two", "window_days = 60")) as two,
    ):
        asking = AskingHost(Reply.DISMISSED)
        wish = wish_of(await wanted(one, asking))
        brings = AskingHost(brought=Reply.YES)
        brings.answered, brings.answered_number = wish.refund_id, asking.questions[0].number
        brings.answered_revision = wish.revision
        with pytest.raises(RefusedError, match="was shown under the refund policy"):
            await wanted(two, brings)

    assert shop.refunds() == []


async def test_shown_again_under_the_new_policy_it_is_sent_by_every_machine_that_has_it(
    machine: Any, shop: Shop
) -> None:
    async with opened(machine("one", "window_days = 30")) as one:
        old = wish_of(await wanted(one))
    async with (
        opened(machine("one", "window_days = 60")) as one,
        opened(machine("two", "window_days = 60 # the same rules")) as two,
    ):
        new = wish_of(await wanted(one))
        sent = wish_of(await confirmed(two, new))
        assert (old.revision, new.revision) == (1, 2)
        assert old.policy != new.policy == digest(two) == sent.policy
        assert sent.decisions[-1].policy == digest(one)

    assert shop.refunds() == [("ord_shirt", 700)]


async def test_a_person_in_a_terminal_is_shown_it_under_the_policy_of_that_machine(
    machine: Any, shop: Shop
) -> None:
    async with (
        opened(machine("one", "window_days = 30")) as one,
        opened(machine("two", "max_cents_per_order = 1\noutside = 'chat'")) as two,
    ):
        wish = wish_of(await wanted(one))
        terminal = Terminal(Reply.YES)
        done = wish_of(await (await two.store()).desk.approve(wish.refund_id, terminal))

    assert "It is outside the store's refund policy" in terminal.questions[0].text
    assert (done.revision, done.policy) == (2, digest(two))
    assert shop.refunds() == [("ord_shirt", 700)]


async def test_on_one_machine_a_change_of_the_policy_is_shown_as_before(
    configure: Configure, shop: Shop, tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[refund]\nwindow_days = 30\n", "utf-8")
    async with opened(configure(refund_approval="agent", refund_policy=path)) as services:
        wish = wish_of(await wanted(services))
        path.write_text("[refund]\nwindow_days = 60\n", "utf-8")
        again = await confirmed(services, wish)

    assert (again.status, wish_of(again).revision) == ("needs_approval", 2)
    assert shop.refunds() == []
