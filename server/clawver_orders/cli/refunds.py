"""The refund ledger in a terminal: what was refunded, what is open, and a person's yes or no."""

import json
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from clawver_orders.cli.options import FAILED, sandbox_option, settings_or_stop, stop
from clawver_orders.cli.tables import row, table, when

if TYPE_CHECKING:
    from clawver_orders.caller import Question, Reply
    from clawver_orders.refunds.desk import Outcome
    from clawver_orders.refunds.ledger import Intent
    from clawver_orders.services import Services

HEADINGS = ("refund", "order", "amount", "state", "since (UTC)", "at Clawver")


def _cleaned(_: click.Context, __: click.Parameter, value: str) -> str:
    """What was typed, without what a terminal would obey when it is said back."""
    from clawver_orders.text import clean

    return clean(value, 80)


refund_id_argument = click.argument("refund_id", callback=_cleaned)


@click.group(invoke_without_command=True)
@click.option("--open", "only_open", is_flag=True, help="Only those whose money may be on its way.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
@sandbox_option
@click.pass_context
def refunds(context: click.Context, only_open: bool, as_json: bool, sandbox: bool) -> None:
    """The refund ledger of this machine, newest first."""
    if context.invoked_subcommand is not None:
        return

    async def run(services: "Services") -> int:
        from clawver_orders.services import LEDGER

        store = await services.kept(LEDGER)
        intents = store.ledger.all_open() if only_open else store.ledger.all()
        if as_json:
            click.echo(json.dumps([_as_json(intent, services) for intent in intents]))
            return 0
        click.echo(f"Store: {store.title}")
        rows = [_cells(intent) for intent in intents]
        for line in table(HEADINGS, rows) if rows else ["No refunds."]:
            click.echo(line)
        return 0

    _with_services(run, sandbox)


@refunds.command()
@refund_id_argument
@sandbox_option
def show(refund_id: str, sandbox: bool) -> None:
    """One refund with its whole history."""

    async def run(services: "Services") -> int:
        from clawver_orders.services import LEDGER

        store = await services.kept(LEDGER)
        intent = store.ledger.find(refund_id)
        if intent is None:
            stop(f"This machine's ledger for this store holds no refund {refund_id}.", FAILED)
        click.echo(f"store: {store.title}")
        for name, value in _as_json(intent, services).items():
            if value not in (None, [], ""):
                click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
        click.echo()
        for event in store.ledger.history(refund_id):
            words = (
                when(event.at), f"process {event.process}", event.event, event.detail,
                event.who and f"by {event.who}", event.client and f"through {event.client}",
            )  # fmt: skip
            click.echo(row([word for word in words if word]))
        return 0

    _with_services(run, sandbox)


@refunds.command()
@sandbox_option
def check(sandbox: bool) -> None:
    """Look up all that is open or was given up, and settle what can be; exit code 1 while any is open."""

    async def run(services: "Services") -> int:
        from clawver_orders.errors import ClawverError
        from clawver_orders.services import LEDGER

        store = await services.kept(LEDGER)
        click.echo(f"Store: {store.title}")
        for intent in store.ledger.all():
            if intent.is_open or intent.state == "absent":
                try:
                    _say(await store.desk.check(intent.refund_id), intent.refund_id)
                except ClawverError as error:
                    click.echo(f"{intent.refund_id}: {error}", err=True)
        left = len(store.ledger.all_open())
        click.echo(f"{left} still open." if left else "Nothing is open.")
        return FAILED if left else 0

    _with_services(run, sandbox)


@click.command()
@refund_id_argument
@click.option("--yes", is_flag=True, help="Do not ask: for scripts of people who have decided.")
@sandbox_option
def approve(refund_id: str, yes: bool, sandbox: bool) -> None:
    """Approve a refund: shows what it is, asks, and sends it once."""

    async def run(services: "Services") -> int:
        store = await services.store()
        outcome = await store.desk.approve(refund_id, _Terminal(_client("approve"), yes))
        sent = outcome.intent.refund_id if outcome.intent is not None else refund_id
        _say(outcome, sent)
        click.echo(f"clawver-orders refunds show {sent}{' --sandbox' if sandbox else ''}")
        return 0 if outcome.status in {"refunded", "already_refunded"} else FAILED

    _with_services(run, sandbox)


@click.command()
@refund_id_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@sandbox_option
def decline(refund_id: str, yes: bool, sandbox: bool) -> None:
    """Decline a refund that waits for a yes. Nothing is sent."""

    async def run(services: "Services") -> int:
        from clawver_orders.refunds.ledger import Trace

        store = await services.store()
        intent = store.ledger.find(refund_id)
        if intent is not None and not yes:
            click.echo(f"Store: {store.title}")
            click.echo(_described(intent, services))
            click.confirm("Decline this refund?", abort=True)
        trace = Trace(_client("decline"), _Terminal.person)
        outcome = await store.desk.decline(refund_id, trace)
        if outcome.status == "declined":
            refused = outcome.intent is not None and outcome.intent.sent_at is not None
            why = "Clawver had refused" if refused else "nothing was sent for"
            click.echo(f"declined: {why} {refund_id}")
            return 0
        sent = outcome.intent.refund_id if outcome.intent is not None else refund_id
        other = f"a refund of the same amount was sent since, as {sent}"
        click.echo(f"Too late: {'it was sent' if sent == refund_id else other}.")
        _say(outcome, sent)
        return FAILED

    _with_services(run, sandbox)


@dataclass(frozen=True)
class _Terminal:
    """The caller who is the person."""

    client: str
    yes: bool
    is_person: bool = True
    can_ask: bool = True
    person: str = "person in the terminal"
    answered: str | None = None
    answered_number: int = 0
    answered_after_seconds: float = 0.0

    def reply_to(self, about: str) -> "Reply | None":  # noqa: ARG002  # the protocol's
        """Nothing: the person is asked each time."""
        return None

    async def progress(self, done: int, total: int) -> None:
        """Nothing here takes long."""

    async def ask(self, question: "Question") -> "Reply":
        """Show the question and read the answer."""
        from clawver_orders.caller import Reply

        click.echo(question.text)
        if not (self.yes or click.confirm("Send this refund?")):
            return Reply.NO
        # From here on Ctrl+C would stop nothing, and only hide what became of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return Reply.YES


def _client(command: str) -> str:
    from clawver_orders import __version__

    return f"clawver-orders {command} {__version__}"


def _say(outcome: "Outcome", refund_id: str) -> None:
    """How a refund stands, and what the merchant must hear of."""
    from clawver_orders.tools.refunds import message, warning

    click.echo(f"{refund_id}: {outcome.status}. {message(outcome)}")
    if beside := warning(outcome):
        click.echo(f"{refund_id}: {beside}", err=True)


def _with_services(run: Callable[["Services"], Awaitable[int]], sandbox: bool) -> None:
    """Run with this store's services; errors go to stderr."""
    settings = settings_or_stop(sandbox=sandbox)
    import anyio

    from clawver_orders.errors import ClawverError
    from clawver_orders.services import opened

    async def inside() -> None:
        try:
            async with opened(settings) as services:
                code = await run(services)
        except ClawverError as error:
            stop(str(error), FAILED)
        sys.exit(code)

    anyio.run(inside)


def _reason(intent: "Intent", services: "Services") -> str:
    """Why; it may name the customer, and the order is not at hand to tell."""
    return "…" if services.masking.masked else intent.reason


def _as_json(intent: "Intent", services: "Services") -> dict[str, Any]:
    return {
        "refund_id": intent.refund_id,
        "order_id": intent.order_id,
        "amount_in_cents": intent.amount_in_cents,
        "state": intent.state,
        "reason": _reason(intent, services),
        "created_at": intent.created_at.isoformat(timespec="seconds"),
        "sent_at": intent.sent_at and intent.sent_at.isoformat(timespec="seconds"),
        "clawver_refund_id": intent.clawver_refund_id,
        "stripe_refund_id": intent.stripe_refund_id,
        "in_addition_to": list(intent.in_addition_to),
        "surplus": list(intent.surplus),
    }


def _described(intent: "Intent", services: "Services") -> str:
    from clawver_orders.money import display

    return (
        f"{intent.refund_id}: {display(intent.amount_in_cents)} on {intent.order_id}, "
        f"{intent.state} since {when(intent.created_at)}. Reason: {_reason(intent, services)}"
    )


def _cells(intent: "Intent") -> tuple[str, ...]:
    from clawver_orders.money import display

    return (
        intent.refund_id,
        intent.order_id,
        display(intent.amount_in_cents),
        intent.state,
        when(intent.sent_at or intent.created_at),
        intent.clawver_refund_id or "",
    )
