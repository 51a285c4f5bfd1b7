"""The refund ledger in a terminal: what was refunded, what is open, and what a person decides."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from clawver_orders.cli.completion import refund_ids
from clawver_orders.cli.options import (
    DONE,
    FAILED,
    MISUSED,
    UNKNOWN,
    code_of,
    say,
    settings_or_stop,
    show_progress,
    somebody_is_there,
    stop,
    store_options,
    telling,
)
from clawver_orders.cli.other_ledgers import where_else
from clawver_orders.cli.output import Function, Output, output_options
from clawver_orders.cli.person import PERSON, Terminal, cleaned, client_of
from clawver_orders.cli.running import money, with_services
from clawver_orders.cli.tables import row, when

if TYPE_CHECKING:
    from clawver_orders.refunds.outcome import Outcome
    from clawver_orders.refunds.records import LedgerEvent, Wish
    from clawver_orders.services import Services

HEADINGS = ("refund", "order", "amount", "status", "since (UTC)", "at Clawver")
MOST_LISTED = 50
"""How many refunds are listed where nobody says otherwise."""
EVENT_HEADINGS = ("at (UTC)", "event", "detail", "by", "through", "process", "host")


def refund_id_argument(*statuses: str) -> Callable[[Function], Function]:
    """The argument that names a refund; a shell offers those that stand so, or all of them."""
    return click.argument("refund_id", callback=cleaned, shell_complete=refund_ids(*statuses))


@click.group(invoke_without_command=True)
@click.option("--open", "only_open", is_flag=True, help="Only those whose outcome isn't known yet.")
@click.option(
    "--limit",
    default=MOST_LISTED,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="The most that are listed.",
)
@output_options
@store_options
@click.pass_context
def refunds(
    context: click.Context, only_open: bool, limit: int, form: str | None, sandbox: bool
) -> None:
    """This store's refund ledger on this machine, newest first."""
    if context.invoked_subcommand is not None:
        if only_open or form or sandbox or limit != MOST_LISTED:
            stop(f"Options of {context.invoked_subcommand} come after that word.", MISUSED)
        return
    output = Output(form)

    async def run(services: "Services") -> int:
        from clawver_orders.services import LEDGER

        store = await services.kept(LEDGER)
        ledger = store.ledger
        found = await ledger.all_open() if only_open else await ledger.latest(limit + 1)
        wishes = found[:limit]
        if output.is_json:
            output.document([_as_json(wish, services) for wish in wishes])
            return DONE
        say(f"Store: {store.title}")
        if wishes:
            output.table(HEADINGS, [_cells(wish) for wish in wishes])
        else:
            say("No refunds.")
        if len(found) > limit:
            say("There are older ones: raise --limit.")
        return DONE

    with_services(run, settings_or_stop(sandbox=sandbox))


@refunds.command()
@refund_id_argument()
@output_options
@store_options
def show(refund_id: str, form: str | None, sandbox: bool) -> None:
    """One refund with its whole history."""
    output = Output(form)

    async def run(services: "Services") -> int:
        from clawver_orders.money import display
        from clawver_orders.refunds.checking import not_in_ledger
        from clawver_orders.services import LEDGER

        store = await services.kept(LEDGER)
        wish = await store.ledger.find(refund_id)
        if wish is None:
            raise not_in_ledger(refund_id)
        known = _as_json(wish, services)
        history = await store.ledger.history(wish.refund_id)
        if output.is_json:
            output.document(
                {"store": store.title} | known | {"history": [_event(each) for each in history]}
            )
            return DONE
        amount = {"amount": display(wish.amount_in_cents)}
        pairs = {"store": store.title} | amount | {name: _in_line(known[name]) for name in known}
        output.pairs(pairs)
        say("")
        if output.draws:
            output.table(EVENT_HEADINGS, [_event_cells(each) for each in history])
        else:
            for each in history:
                say(_event_line(each))
        return DONE

    with_services(run, settings_or_stop(sandbox=sandbox), elsewhere=where_else(refund_id))


@refunds.command()
@output_options
@store_options
def check(form: str | None, sandbox: bool) -> None:
    """Look up every refund whose outcome isn't certain, and note it; exit code 3 while any is open."""
    output = Output(form)

    async def run(services: "Services") -> int:
        from clawver_orders.errors import ClawverError, RefusedError
        from clawver_orders.services import LEDGER

        store = await services.kept(LEDGER)
        if not output.is_json:
            say(f"Store: {store.title}")
        code, found = DONE, []
        uncertain = await store.ledger.uncertain()
        for number, wish in enumerate(uncertain, 1):
            show_progress(f"Looking up refund {number} of {len(uncertain)}")
            try:
                outcome = await store.desk.check(wish.refund_id)
            except ClawverError as error:
                say(f"{wish.refund_id}: {error}", err=True)
                found.append({"refund_id": wish.refund_id, "error": str(error)})
                if not isinstance(error, RefusedError):  # which says how it stands
                    code = FAILED
            else:
                found.append(_answer(services, outcome) if output.is_json else {})
                _say(outcome, wish.refund_id, output)
        left = len(await store.ledger.all_open())
        if output.is_json:
            output.document({"store": store.title, "refunds": found, "open": left})
            return UNKNOWN if left else code
        say(f"{left} still open." if left else "Nothing is open.")
        if left:
            say(
                "Where a refund stays unknown, compare the order in Clawver's dashboard with it, then run: "
                f"clawver-orders refunds resolve REFUND_ID{services.settings.option}"
            )
        return UNKNOWN if left else code

    with_services(run, settings_or_stop(sandbox=sandbox))


@refunds.command()
@refund_id_argument("sending", "unknown", "not_recorded")
@click.option(
    "--as",
    "outcome",
    type=click.Choice(["refunded", "not-refunded"]),
    required=True,
    help="What became of the money, as Clawver's dashboard or Stripe shows it.",
)
@click.option("--because", required=True, help="How you know, for the history.")
@output_options
@store_options
def resolve(refund_id: str, outcome: str, because: str, form: str | None, sandbox: bool) -> None:
    """Say what became of a refund whose outcome stays unknown. Nothing is sent.

    Only in a terminal. A further refund of that order needs a person afterwards.
    """
    if not somebody_is_there():
        stop(
            "Nothing was changed: only a person in a terminal can say what became of a refund. Run it "
            "there, without a pipe.",
            FAILED,
        )
    output = Output(form)

    async def run(services: "Services") -> int:
        from clawver_orders.refunds.records import Actor
        from clawver_orders.text import clean

        store = await services.store()
        wish = await store.ledger.find(refund_id)
        if wish is not None:
            _ask(store.title, _described(wish, services), f"Note this refund as {outcome}?", output)
        said = await store.desk.resolve(
            refund_id,
            was_refunded=outcome == "refunded",
            because=clean(because, 200),
            actor=Actor(client_of("refunds resolve"), PERSON),
        )
        _tell(said, refund_id, services, output)
        return DONE if said.status == "not_recorded" else _code(said)

    with_services(run, settings_or_stop(sandbox=sandbox), elsewhere=where_else(refund_id))


@click.command()
@refund_id_argument("waiting", "expired", "declined")
@click.option(
    "--amount-in-cents",
    type=click.IntRange(min=1),
    help="Send this much instead. The amount that was asked for is declined.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Do not ask. It counts as the agent's approval then, not as yours.",
)
@output_options
@store_options
def approve(
    refund_id: str, amount_in_cents: int | None, yes: bool, form: str | None, sandbox: bool
) -> None:
    """Approve a refund: shows what it is, asks, and sends it once.

    One that was declined or has expired is asked about again.
    """
    output = Output(form)

    async def run(services: "Services") -> int:
        store = await services.store()
        caller = Terminal(client_of("approve"), yes, store.pin, output.is_json)
        outcome = await store.desk.approve(refund_id, caller, amount_in_cents)
        sent = outcome.wish.refund_id if outcome.wish is not None else refund_id
        code = _code(outcome)
        with telling(code):
            _tell(outcome, sent, services, output)
            if outcome.status == "needs_approval" and not caller.somebody_is_there:
                say(
                    f"{sent}: this counts as the agent's approval, and the refund needs yours: the input or output "
                    "is no terminal, or --yes was given. Run the command in a terminal without --yes.",
                    err=True,
                )
            if not output.is_json:
                say(f"clawver-orders refunds show {sent}{services.settings.option}")
        return code

    settings = settings_or_stop(sandbox=sandbox)
    with_services(run, settings, money(refund_id=refund_id), where_else(refund_id))


@click.command()
@refund_id_argument("waiting")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_options
@store_options
def decline(refund_id: str, yes: bool, form: str | None, sandbox: bool) -> None:
    """Decline a refund that waits for approval. Nothing is sent."""
    output = Output(form)

    async def run(services: "Services") -> int:
        from clawver_orders.caller import Approval

        store = await services.store()
        wish = await store.ledger.find(refund_id)
        if wish is not None and not yes:
            _ask(store.title, _described(wish, services), "Decline this refund?", output)
        caller = Terminal(client_of("decline"), yes, store.pin)
        approval = Approval(caller.grade, caller.channel, caller.person)
        outcome = await store.desk.decline(refund_id, approval, caller.client)
        is_declined = outcome.status == "declined"
        if output.is_json:
            output.document(_answer(services, outcome))
        elif is_declined:
            refused = outcome.wish is not None and any(
                attempt.status == "refused" for attempt in outcome.wish.attempts
            )
            why = "Clawver had refused" if refused else "nothing was sent for"
            say(f"declined: {why} {refund_id}")
        else:
            say("Too late: it was sent.")
            _say(outcome, refund_id, output)
        return DONE if is_declined else _code(outcome) or FAILED

    with_services(run, settings_or_stop(sandbox=sandbox), elsewhere=where_else(refund_id))


def _ask(store: str, about: str, question: str, output: Output) -> None:
    """Ask the person; where they say no, the command ends. That is no decline of the refund."""
    output.say(f"Store: {store}\n{about}")
    if not click.confirm(question, err=output.is_json):
        stop("Nothing was changed.", FAILED)
    show_progress("Asking Clawver")


def _code(outcome: "Outcome") -> int:
    is_open = outcome.wish is not None and outcome.wish.is_open
    return code_of(outcome.status, is_open=is_open)


def _tell(outcome: "Outcome", refund_id: str, services: "Services", output: Output) -> None:
    """What became of a refund, as it was asked for."""
    if output.is_json:
        output.document(_answer(services, outcome))
    _say(outcome, refund_id, output)


def _say(outcome: "Outcome", refund_id: str, output: Output) -> None:
    """How a refund stands, and what the merchant must hear of."""
    from clawver_orders.refunds.outcome import message, warning

    if not output.is_json:
        say(f"{refund_id}: {outcome.status}. {message(outcome)}")
    if beside := warning(outcome):
        say(f"{refund_id}: {beside}", err=True)


def _answer(services: "Services", outcome: "Outcome") -> dict[str, Any]:
    """The answer that `check_refund` gives about it."""
    from clawver_orders.tools.contract import in_words
    from clawver_orders.tools.refunds import answer_of

    return in_words(services, answer_of(services, outcome))


def _reason(wish: "Wish", services: "Services") -> str:
    """Why; it may name the customer, and the order is not at hand to tell."""
    return "…" if services.masking.masked else wish.reason


def _as_json(wish: "Wish", services: "Services") -> dict[str, Any]:
    return {
        "refund_id": wish.refund_id,
        "order_id": wish.order_id,
        "amount_in_cents": wish.amount_in_cents,
        "status": wish.status,
        "revision": wish.revision,
        "reason": _reason(wish, services),
        "created_at": wish.created_at.isoformat(timespec="seconds"),
        "sent_at": wish.sent_at and wish.sent_at.isoformat(timespec="seconds"),
        "clawver_refund_id": wish.clawver_refund_id,
        "stripe_refund_id": wish.stripe_refund_id,
        "decided_by": wish.decision and f"{wish.decision.who} ({wish.decision.grade})",
        "refund_policy": wish.policy or None,
        "in_addition_to": list(wish.in_addition_to),
        "unexpected_refunds": list(wish.unexpected_refunds),
    }


def _in_line(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str("" if value is None else value)


def _event(event: "LedgerEvent") -> dict[str, Any]:
    return {
        "at": event.at.isoformat(timespec="seconds"),
        "process": event.process,
        "host": event.host,
        "event": event.event,
        "detail": event.detail,
        "who": event.who,
        "client": event.client,
    }


def _event_cells(event: "LedgerEvent") -> tuple[str, ...]:
    return (
        when(event.at), event.event, event.detail, event.who, event.client, str(event.process), event.host,
    )  # fmt: skip


def _event_line(event: "LedgerEvent") -> str:
    words = (
        when(event.at), f"process {event.process}" + (event.host and f" on {event.host}"), event.event, event.detail,
        event.who and f"by {event.who}", event.client and f"through {event.client}",
    )  # fmt: skip
    return row([word for word in words if word])


def _described(wish: "Wish", services: "Services") -> str:
    from clawver_orders.money import display

    return (
        f"{wish.refund_id}: {display(wish.amount_in_cents)} on {wish.order_id}, "
        f"{wish.status} since {when(wish.created_at)}. Reason: {_reason(wish, services)}"
    )


def _cells(wish: "Wish") -> tuple[str, ...]:
    from clawver_orders.money import display

    return (
        wish.refund_id,
        wish.order_id,
        display(wish.amount_in_cents),
        wish.status,
        when(wish.sent_at or wish.created_at),
        wish.clawver_refund_id or "",
    )
