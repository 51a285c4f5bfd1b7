"""Tools that come to be of use while a server runs."""

from collections.abc import Awaitable, Callable

import pytest
from tests.conftest import Configure, inbox_of
from tests.hosts import INITIALIZE, MODERN, HostProcess, hosting

from clawver_orders.serving.offer import LOOK_EVERY_SECONDS, Offer
from clawver_orders.settings import Settings

WEBHOOKS = {"register_webhook", "list_webhooks", "delete_webhook", "list_order_events"}


class OverError(Exception):
    """A test has seen enough."""


def rounds(count: int, then: Callable[[int], None]) -> Callable[[float], Awaitable[None]]:
    """Does something in each of so many waits."""
    done = 0

    async def wait(seconds: float) -> None:
        nonlocal done
        assert seconds == LOOK_EVERY_SECONDS
        if done == count:
            raise OverError
        then(done)
        done += 1

    return wait


async def test_tools_for_events_are_offered_once_the_first_event_is_here(
    configure: Configure,
) -> None:
    settings = configure(toolsets="")
    offer = Offer({"": settings})
    before = set(offer.now.tools)
    found = []
    wait = rounds(3, lambda done: inbox_of(settings).open() if done == 1 else None)

    async def follow() -> None:
        async for offered in offer.changes(wait):
            found.append(set(offered.tools) - before)  # noqa: PERF401  # it ends by an exception

    with pytest.raises(OverError):
        await follow()

    assert found == [WEBHOOKS]
    assert not WEBHOOKS & before


def events(host: HostProcess, order_number: int) -> dict[str, object]:
    called = {"name": "list_order_events", "arguments": {}}
    answer: dict[str, object] = host.ask(order_number, "tools/call", **called)["result"]
    return answer


@pytest.mark.slow
def test_a_host_of_an_older_protocol_is_told_of_new_tools(
    live: dict[str, str], configure: Configure
) -> None:
    with hosting(**live) as host:
        opened_with = host.ask(1, "initialize", **INITIALIZE)["result"]
        host.say({"method": "notifications/initialized"})
        before = {tool["name"] for tool in host.ask(2, "tools/list")["result"]["tools"]}
        host.ask(3, "tools/call", name="list_orders", arguments={})
        inbox_of(Settings.from_environment(live)).open()
        told = [host.hear()["method"], host.hear()["method"]]
        after = {tool["name"] for tool in host.ask(4, "tools/list")["result"]["tools"]}
        answer = events(host, 5)

    assert opened_with["capabilities"]["tools"] == {"listChanged": True}
    assert told == ["notifications/tools/list_changed", "notifications/prompts/list_changed"]
    assert after - before == WEBHOOKS
    assert "isError" not in answer or answer["isError"] is False


@pytest.mark.slow
def test_a_host_of_the_newer_protocol_is_told_where_it_listens(live: dict[str, str]) -> None:
    wanted = {"notifications": {"toolsListChanged": True}}
    with hosting(**live) as host:
        called = {"name": "list_orders", "arguments": {}}
        host.ask(1, "tools/call", **called, **MODERN)
        host.say({"id": 2, "method": "subscriptions/listen", "params": wanted | MODERN})
        acknowledged = host.hear()
        inbox_of(Settings.from_environment(live)).open()
        told = host.hear()
        tools = host.ask(3, "tools/list", **MODERN)["result"]["tools"]

    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert told["method"] == "notifications/tools/list_changed"
    assert {tool["name"] for tool in tools} >= WEBHOOKS
