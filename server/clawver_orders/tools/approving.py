"""What waits for approval is told with: the page in the browser, and whoever opens it."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import anyio

from clawver_orders.caller import Caller, PageOpener, suffices
from clawver_orders.money import display
from clawver_orders.refunds.approvals import takes_click
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.outcome import Outcome, approve_command, fact_about
from clawver_orders.refunds.records import Actor, Wish
from clawver_orders.services import Services, Store
from clawver_orders.webhooks.desk import Changed

WAIT_FOR_DECISION_SECONDS = 20.0
"""How long a call waits for a decision on the page, once that was opened."""
_BETWEEN_LOOKS_SECONDS = 0.25
CHANNEL = "url"


async def for_card(services: Services, caller: Caller, outcome: Outcome) -> Outcome:
    """An outcome that a card shows: what is for the card alone goes there, and the page is named.

    Args:
        services: What it works with.
        caller: Who called.
        outcome: What became of a refund, as `on_card` gave it.
    """
    if outcome.needs is None or outcome.wish is None:
        return outcome
    if caller.card is not None:
        caller.card["fact"] = fact_about(outcome.wish)
        caller.card["command"] = approve_command(outcome.wish, services.settings)
        caller.card["warnings"] = list(outcome.warnings)
        if outcome.nonce:
            caller.card["nonce"] = outcome.nonce
    return await _with_page(services, outcome, outcome.wish)


async def _with_page(services: Services, outcome: Outcome, wish: Wish) -> Outcome:
    """An outcome that waits, and the page that decides about it, where it needs more than an agent's word."""
    if suffices("agent", wish.grade_needed):
        return outcome
    return replace(outcome, approve_at=await services.page_of(f"refund/{wish.refund_id}"))


async def decided(
    services: Services, caller: Caller, call: Callable[[Store], Coroutine[Any, Any, Outcome]]
) -> Outcome:
    """What became of a call; where it needs more than an agent's word, a person is shown the page.

    What a host says about the page is never an approval: it only ends the waiting for one.

    Args:
        services: What it works with.
        caller: Who called.
        call: Asks the store's `refunds.desk`.

    Raises:
        ClawverError: Nothing was sent, or Clawver refused.
    """
    outcome = await _decided(services, caller, call)
    if caller.card is None or outcome.needs is None or outcome.wish is None:
        return outcome
    return replace(outcome, by_card=takes_click(outcome.wish) and not outcome.is_declined_often)


async def _decided(
    services: Services, caller: Caller, call: Callable[[Store], Coroutine[Any, Any, Outcome]]
) -> Outcome:
    store, opener = await services.store(), caller.opener
    if opener is not None and opener.opened is not None:
        return await _waited_for(services, store, opener.opened, caller, _seconds(opener))
    outcome = await call(store)
    wish = outcome.wish
    if outcome.needs is None or wish is None:
        return outcome
    outcome = await _with_page(services, outcome, wish)
    page = outcome.approve_at
    if page is None or opener is None or outcome.was_dismissed or outcome.is_declined_often:
        return outcome
    actor = Actor(caller.client)
    try:
        await store.ledger.ask(wish, CHANNEL, actor)
    except MovedOnError:  # somebody decided at this moment
        return await _waited_for(services, store, wish.refund_id, caller)
    if not await opener.open(wish.refund_id, _why(wish, store), page):
        await store.ledger.note_shown(wish, actor)
        return outcome
    outcome = await _waited_for(services, store, wish.refund_id, caller)
    await opener.close()
    return outcome


async def changed(
    services: Services, caller: Caller, call: Callable[[Store], Coroutine[Any, Any, Changed]]
) -> Changed:
    """What became of a change of webhooks; where the host's own form isn't enough, a person is shown the page.

    What a host says about the page is never an approval: it only ends the waiting for one.

    Args:
        services: What it works with.
        caller: Who called.
        call: Asks the webhook desk of a store.

    Raises:
        ClawverError: Nothing was changed, or Clawver refused.
    """
    store, opener = await services.store(), caller.opener
    if opener is not None and opener.opened is not None:
        return await _changed_by(store, opener.opened, call, _seconds(opener))
    told = await call(store)
    if opener is None or told.change is None or told.status != "needs_approval" or told.was_asked:
        return told
    page = await services.page_of(f"webhook/{told.change.change_id}")
    why = f"A change of the webhooks of the store {store.title} needs your approval. Open this page to see it and decide."
    if page is None or not await opener.open(told.change.change_id, why, page):
        return told
    try:
        return await _changed_by(store, told.change.change_id, call, WAIT_FOR_DECISION_SECONDS)
    finally:  # a decline is an error, and the host hears that the page is over all the same
        await opener.close()


async def _changed_by(
    store: Store,
    change_id: str,
    call: Callable[[Store], Coroutine[Any, Any, Changed]],
    seconds: float,
) -> Changed:
    """How a change stands once somebody decided about it, or time is up."""
    await _wait_while(lambda: _is_changing(store, change_id), seconds)
    change = await store.webhooks.find(change_id)
    told = await call(store)
    if change is None or change.status != "done" or told.status != "needless":
        return told
    return replace(told, status="done", change=change, approval=change.decisions[-1].approval)


async def _is_changing(store: Store, change_id: str) -> bool:
    change = await store.webhooks.find(change_id)
    return change is not None and change.status in {"waiting", "begun"}


def _seconds(opener: PageOpener) -> float:
    """How long a decision is waited for on a page that the host was asked to open before."""
    return WAIT_FOR_DECISION_SECONDS if opener.did_open else 0.0


async def _wait_while(is_open: Callable[[], Coroutine[Any, Any, bool]], seconds: float) -> None:
    """Look again and again, since another process decides, for so many seconds at most."""
    with anyio.move_on_after(seconds):
        while await is_open():  # noqa: ASYNC110  # another process decides
            await anyio.sleep(_BETWEEN_LOOKS_SECONDS)


async def _waited_for(
    services: Services,
    store: Store,
    refund_id: str,
    caller: Caller,
    seconds: float | None = None,
) -> Outcome:
    """How a refund stands once somebody decided about it, or time is up."""
    longest = WAIT_FOR_DECISION_SECONDS if seconds is None else seconds
    await _wait_while(lambda: _is_undecided(store, refund_id), longest)
    wish = await store.ledger.find(refund_id)
    if wish is not None and wish.status == "waiting":  # the question is behind them
        await store.ledger.note_shown(wish, Actor(caller.client))
    outcome = await store.desk.check(refund_id)
    if outcome.needs is None:
        return outcome
    return replace(outcome, approve_at=await services.page_of(f"refund/{refund_id}"))


async def _is_undecided(store: Store, refund_id: str) -> bool:
    wish = await store.ledger.find(refund_id)
    return wish is not None and wish.status in {"waiting", "sending"}


def _why(wish: Wish, store: Store) -> str:
    amount = display(wish.amount_in_cents)
    return (
        f"A refund of {amount} on order {wish.order_id} of the store {store.title} needs your approval. "
        "Open this page to see it and decide."
    )
